package checks

// Claim is one statement of a paper and the checks that decide it.
type Claim struct {
	Statement  string   `yaml:"statement" required:"true" doc:"what the paper says, in its own figures"`
	Source     Source   `yaml:"source" required:"true" doc:"where it says so"`
	Experiment string   `yaml:"experiment" required:"true" doc:"id of the experiment whose observations decide it"`
	Profiles   []string `yaml:"profiles" doc:"profiles with the power to decide the claim; elsewhere it is skipped; all when absent"`
	Checks     []Check  `yaml:"checks" required:"true" doc:"the checks; the claim's verdict is the worst of theirs"`
}

// Source says where a reference value comes from.
type Source struct {
	Where string `yaml:"where" required:"true" json:"where" doc:"section, figure or table; for a paper other than the artifact's, the paper too"`
	Kind  string `yaml:"kind" required:"true" json:"kind" enum:"text,table,figure,derived,author-statement" doc:"how exactly the source gives the value: in words, in a table, read off a figure, derived from theory, or only stated by an author"`
}
