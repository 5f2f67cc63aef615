package artifacts

// Matrix is the set of parameter points an experiment runs at: the cross
// product of its axes and zipped groups, less what exclude names, times repeat.
type Matrix struct {
	Axes    map[string][]any   `yaml:",inline" doc:"values of an axis by its name"`
	Zip     []map[string][]any `yaml:"zip" doc:"groups of axes of equal length whose values go together"`
	Exclude []string           `yaml:"exclude" doc:"conditions; a point for which one holds is left out, for example policy == belady && size != 1%"`
	Repeat  int                `yaml:"repeat" doc:"repeats of every point, as axis seed 1, 2, …"`
}
