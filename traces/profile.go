package traces

import "fmt"

type Profile struct {
	Name     string
	Workload Workload
}

func LookupProfile(name string) (Profile, error) { return Profile{}, fmt.Errorf("x") }
