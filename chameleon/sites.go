package chameleon

import (
	"bytes"
	_ "embed" // sites.yaml
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Site is one of the testbed's clouds, each with its own Keystone.
type Site struct {
	Name            string             `yaml:"name"`
	AuthURL         string             `yaml:"auth_url"`
	Region          string             `yaml:"region"`
	Leases          string             `yaml:"leases"` // hosts, flavors or none
	Flavor          string             `yaml:"flavor"`
	Network         string             `yaml:"network"`
	Isolated        string             `yaml:"isolated"` // create or reserve
	PhysicalNetwork string             `yaml:"physical_network"`
	DNS             []string           `yaml:"dns"`
	PublicNetwork   string             `yaml:"public_network"`
	User            string             `yaml:"user"`
	SSHPort         int                `yaml:"ssh_port"`
	Boot            time.Duration      `yaml:"boot"`
	MaxLease        time.Duration      `yaml:"max_lease"`
	ExtendWithin    time.Duration      `yaml:"extend_within"`
	SUPerHour       float64            `yaml:"su_per_hour"`
	SUPerFlavor     map[string]float64 `yaml:"su_per_flavor"`
	Poll            time.Duration      `yaml:"poll"`
	Reference       string             `yaml:"reference"`
}

//go:embed sites.yaml
var shippedSites []byte

// Sites gives the sites that reprise ships with those of more, which may be
// nil, added; a site of more replaces the shipped one of its name.
func Sites(more io.Reader) ([]Site, error) {
	sites, err := readSites(bytes.NewReader(shippedSites))
	if err != nil || more == nil {
		return sites, err
	}
	own, err := readSites(more)
	if err != nil {
		return nil, err
	}
	for _, s := range own {
		if i := slices.IndexFunc(sites, func(t Site) bool { return strings.EqualFold(t.Name, s.Name) }); i >= 0 {
			sites[i] = s
		} else {
			sites = append(sites, s)
		}
	}
	return sites, nil
}

func readSites(r io.Reader) ([]Site, error) {
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	var sites []Site
	if err := dec.Decode(&sites); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("sites: %w", err)
	}
	for i := range sites {
		s := &sites[i]
		switch {
		case s.Name == "":
			return nil, fmt.Errorf("sites: the site in place %d has no name", i+1)
		case s.AuthURL == "":
			return nil, fmt.Errorf("sites: %s has no auth_url", s.Name)
		case s.Leases != "hosts" && s.Leases != "flavors" && s.Leases != "none":
			return nil, fmt.Errorf("sites: %s: leases is %q, not hosts, flavors or none", s.Name, s.Leases)
		case s.Isolated != "" && s.Isolated != "create" && s.Isolated != "reserve":
			return nil, fmt.Errorf("sites: %s: isolated is %q, not create or reserve", s.Name, s.Isolated)
		}
		s.setDefaults()
	}
	return sites, nil
}

func (s *Site) setDefaults() {
	def := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	def(&s.Region, s.Name)
	def(&s.Flavor, "baremetal")
	def(&s.Network, "sharednet1")
	def(&s.PublicNetwork, "public")
	def(&s.User, "cc")
	if s.SSHPort == 0 {
		s.SSHPort = 22
	}
	if s.Boot == 0 {
		s.Boot = 30 * time.Minute
	}
	if s.MaxLease == 0 {
		s.MaxLease = 7 * 24 * time.Hour
	}
	if s.ExtendWithin == 0 {
		s.ExtendWithin = 48 * time.Hour
	}
	if s.SUPerHour == 0 {
		s.SUPerHour = 1
	}
	if s.Poll == 0 {
		s.Poll = 2 * time.Second
	}
}

// Rate is what a node, or a virtual machine of a flavour, costs an hour.
func (s Site) Rate(flavor string) float64 {
	if su, known := s.SUPerFlavor[flavor]; known {
		return su
	}
	return s.SUPerHour
}

// FindSite gives the site of a name, upper or lower case alike.
func FindSite(sites []Site, name string) (Site, error) {
	var names []string
	for _, s := range sites {
		if strings.EqualFold(s.Name, name) {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return Site{}, fmt.Errorf("no site %q; there are %s", name, strings.Join(names, ", "))
}
