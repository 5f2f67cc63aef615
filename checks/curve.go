package checks

// Curve compares a metric over a numeric label with reference points. Every
// point must be within Tolerance, and the ranks of measured and reference
// values must correlate by at least RankCorr. The ranks right and a point out
// of tolerance is partial: the shape holds, the magnitude does not.
type Curve struct {
	Selection `yaml:",inline"`
	Over      string              `yaml:"over" required:"true" doc:"numeric label the curve runs over"`
	Reference map[string]Quantity `yaml:"reference" required:"true" doc:"reference points, label value to expected value, for example {1%: 0.62, 10%: 0.41}"`
	Tolerance *Tolerance          `yaml:"tolerance" doc:"how far from a point still counts, and why; without it only rank_corr decides"`
	RankCorr  *float64            `yaml:"rank_corr" doc:"least Spearman rank correlation with the reference, −1 to 1"`
}
