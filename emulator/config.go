package emulator

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// LoadFEMU reads a device description in YAML under FEMU's property names;
// what it leaves out keeps its value in base.
func LoadFEMU(r io.Reader, base FEMUConfig) (FEMUConfig, error) {
	err := decode(r, &base)
	return base, err
}

// decode reads one YAML mapping into a struct and refuses keys it does not have.
func decode(r io.Reader, into any) error {
	dec := yaml.NewDecoder(r)
	dec.KnownFields(true)
	err := dec.Decode(into)
	if errors.Is(err, io.EOF) {
		return nil // an empty file changes nothing
	}
	var typed *yaml.TypeError
	if errors.As(err, &typed) {
		for i, e := range typed.Errors {
			if at, field, ok := strings.Cut(e, ": field "); ok {
				field, _, _ = strings.Cut(field, " not found")
				typed.Errors[i] = at + ": there is no property " + field + "; known are " + strings.Join(propertyNames(reflect.TypeOf(into).Elem()), ", ")
			}
		}
		return errors.New(strings.Join(typed.Errors, "; "))
	}
	return err
}

func propertyNames(t reflect.Type) (names []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			names = append(names, propertyNames(f.Type)...)
			continue
		}
		if name, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

// Presets are the devices that have a name; femu, the compat model, is apart.
var Presets = []struct {
	Name, Doc string
	Config    func() Config
}{
	{"default", "32 GiB raw, 12.5 % spare, 8 channels of 4 LUNs of 2 planes, no wear-out", DefaultConfig},
	{"small", "1 GiB raw, 12.5 % spare, 4 channels of 2 LUNs, no wear-out", smallConfig},
	{"cvss", "the 128 GiB device of Jiao et al., FAST'24: 7.37 % spare, 300 erases a block, reads repeated with wear", cvssConfig},
}

// Preset finds a named Config.
func Preset(name string) (Config, error) {
	names := []string{"femu"}
	for _, p := range Presets {
		if p.Name == name {
			return p.Config(), nil
		}
		names = append(names, p.Name)
	}
	return Config{}, fmt.Errorf("unknown preset %q; there are %s", name, strings.Join(names, ", "))
}

// DefaultConfig is a device with the faults of FEMU's default mended: separate
// lines for what is collected, collection spread over the writes that need it,
// a free reserve of a few lines instead of a quarter of the device (which makes
// WA 8 where 2.2 would do), a write buffer, bus transfers, reads that interrupt
// programs, and a link to the host: as fast as NVMeVirt's (FAST '23) of a Samsung
// 970 Pro, four lanes of PCIe 3.
func DefaultConfig() Config {
	return Config{
		Geometry: Geometry{
			SectorSize: 512, SectorsPerPage: 8, PagesPerBlock: 256, BlocksPerPlane: 512,
			PlanesPerLUN: 2, LUNsPerChannel: 4, Channels: 8,
		},
		Timing:  Timing{Read: 40_000, Program: 200_000, Erase: 2_000_000, Transfer: 5_000},
		Suspend: 20_000, Scheduling: outOfOrder, Buffer: 1024, BufferEntry: 8_000, Link: 3360,
		OverProvision: 12.5, GC: "greedy", GCChoices: 10, GCFree: 4, GCPace: "incremental", SeparateGC: true, SeparateWL: true,
		Allocation: hotYoung, Leveling: "none", Probability: 0.01, Seed: 1,
	}
}

func smallConfig() Config {
	c := DefaultConfig()
	c.Channels, c.LUNsPerChannel, c.PlanesPerLUN, c.PagesPerBlock, c.BlocksPerPlane = 4, 2, 1, 64, 512
	c.Buffer = 64
	return c
}

func cvssConfig() Config {
	c := DefaultConfig()
	c.Channels, c.LUNsPerChannel, c.PlanesPerLUN, c.BlocksPerPlane, c.PagesPerBlock = 8, 8, 1, 512, 1024
	c.Timing = Timing{Read: 50_000, Program: 500_000, Erase: 5_000_000, Transfer: 5_000}
	c.OverProvision = 7.37
	c.Reliability = cvssReliability()
	c.Endurance = 300
	c.Leveling = "pwl"
	return c
}

// LoadConfig reads a device description in YAML; what it leaves out keeps its
// value in base.
func LoadConfig(r io.Reader, base Config) (Config, error) {
	err := decode(r, &base)
	return base, err
}

// validate fills in LogicalPages and finds the policies.
func (c *Config) validate() (VictimPolicy, orderKind, WearLeveler, error) {
	fail := func(err error) (VictimPolicy, orderKind, WearLeveler, error) { return nil, 0, nil, err }
	if err := c.Geometry.validate(); err != nil {
		return fail(fmt.Errorf("geometry: %w", err))
	}
	if err := c.Timing.validate(); err != nil {
		return fail(fmt.Errorf("timing: %w", err))
	}
	for _, v := range []struct {
		name    string
		value   float64
		least   float64
		largest float64
	}{
		{"suspend_lat", float64(c.Suspend), 0, 1e12}, {"buffer_pgs", float64(c.Buffer), 0, 1 << 28}, {"buffer_lat", float64(c.BufferEntry), 0, 1e12},
		{"link_mb_s", float64(c.Link), 0, 1e6},
		{"op_pcent", c.OverProvision, 0, 1e6}, {"logical_pgs", float64(c.LogicalPages), 0, maxPages},
		{"gc_choices", float64(c.GCChoices), 1, 1 << 20}, {"wl_probability", c.Probability, 0, 1},
		{"endurance_sd", c.EnduranceSD, 0, 1}, {"ecc_ber", c.ECC, 0, 1}, {"ber_eps", c.Eps, 0, 1}, {"ber_alpha", c.Alpha, 0, 1},
		{"ber_k", c.K, 0, 10}, {"ber_gamma", c.Gamma, 0, 1}, {"ber_p", c.P, 0, 10}, {"ber_q", c.Q, 0, 10},
	} {
		if !(v.value >= v.least && v.value <= v.largest) {
			return fail(fmt.Errorf("%s is %v; it must be between %v and %v", v.name, v.value, v.least, v.largest))
		}
	}
	if err := oneOf("scheduling", c.Scheduling, outOfOrder, inOrder); err != nil {
		return fail(err)
	}
	if err := oneOf("gc_pace", c.GCPace, "incremental", "line"); err != nil {
		return fail(err)
	}
	if err := oneOf("allocation", c.Allocation, fifo, youngest, hotYoung); err != nil {
		return fail(err)
	}
	if c.Leveling == "pwl" && c.Endurance == 0 {
		return fail(errors.New("wear_leveling pwl needs an endurance"))
	}

	if least := c.floor(); c.GCFree < least || c.GCFree < least+1 && c.GCPace == "incremental" {
		return fail(fmt.Errorf("gc_free_lines is %d; collection needs at least %d, and one more if incremental", c.GCFree, least))
	}
	if c.LogicalPages == 0 {
		c.LogicalPages = int(float64(c.Pages()) / (1 + c.OverProvision/100))
	}
	if room := (c.Lines() - c.spareLines()) * c.PagesPerLine(); c.LogicalPages > room || room < 1 {
		return fail(fmt.Errorf("%d logical pages of %d leave too few spare: collection needs %d lines, which leaves %d pages; "+
			"raise op_pcent, or make lines smaller with more blks_per_pl of fewer pages", c.LogicalPages, c.Pages(), c.spareLines(), max(room, 0)))
	}

	names := VictimPolicies()
	i := slices.Index(names, c.GC)
	if i < 0 {
		return fail(oneOf("gc_policy", c.GC, names...))
	}
	victims, order := victimKinds[i].make(*c)
	names = nil
	for _, k := range levelerKinds {
		names = append(names, k.name)
	}
	if i = slices.Index(names, c.Leveling); i < 0 {
		return fail(oneOf("wear_leveling", c.Leveling, names...))
	}
	return victims, order, levelerKinds[i].make(*c), nil
}

func oneOf(key, got string, known ...string) error {
	if slices.Contains(known, got) {
		return nil
	}
	return fmt.Errorf("%s is %q; known are %s", key, got, strings.Join(known, ", "))
}

// floor is the number of free lines that the host may not use, since
// collecting a line can itself need that many: one to copy into, one for wear
// leveling, one more where bad blocks make lines of different size.
func (c *Config) floor() int {
	n := 1
	if c.Leveling != "none" {
		n++
	}
	if c.Endurance != 0 {
		n++
	}
	return n
}

// reserve is the number of free lines at or below which the host waits for
// collection.
func (c *Config) reserve() int {
	if c.GCPace == "line" {
		return c.GCFree
	}
	return c.floor()
}

// spareLines is how many lines beyond the logical capacity a device needs to
// work at all: the reserve, a line partly written at each write point, and a
// line's worth of invalid pages so that collection gains something.
func (c *Config) spareLines() int { return c.reserve() + c.writePoints() + 1 }

// writePoints is the number of lines that can be open at once.
func (c *Config) writePoints() int {
	n := 1
	for _, separate := range []bool{c.SeparateGC, c.HotCold, c.SeparateWL && c.Leveling != "none"} {
		if separate {
			n++
		}
	}
	return n
}
