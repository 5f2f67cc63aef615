package report

import (
	"fmt"
	"strings"

	"reprise/runner/node"
)

// Fact is something that a machine's measurements depend on. Name is in
// lower case, with underscores, and the same in every output.
type Fact struct{ Name, Value string }

// Facts lists what is known of a machine.
func Facts(m node.Machine) []Fact {
	var list []Fact
	add := func(name, value string) {
		if value != "" {
			list = append(list, Fact{name, value})
		}
	}
	add("platform", m.Platform())
	add("kernel", m.Kernel)
	add("kernel_command_line", m.CommandLine)
	add("processor", m.CPU)
	add("cores", fmt.Sprint(m.Cores))
	add("governor", m.Governor)
	if m.Memory > 0 {
		add("memory_bytes", fmt.Sprint(m.Memory))
	}
	if len(m.NUMA) > 0 {
		var nodes []string
		for _, n := range m.NUMA {
			nodes = append(nodes, joinNonEmpty(", ", prefixed("cores ", n.CPUs), prefixed("memory ", size(n.Memory))))
		}
		add("numa_nodes", fmt.Sprintf("%d: %s", len(nodes), strings.Join(nodes, "; ")))
	}
	for _, d := range m.Disks {
		add("disk "+d.Path, joinNonEmpty(", ", d.Model, prefixed("firmware ", d.Firmware), d.Kind, fmt.Sprintf("%d bytes", d.Bytes)))
	}
	for _, f := range m.Mounts {
		add("file_system of "+f.Of, MountText(f))
	}
	for _, name := range sortedKeys(m.Environment) {
		add("environment "+name, m.Environment[name])
	}
	return list
}

// MountText writes a mount in a line.
func MountText(m node.Mount) string {
	return joinNonEmpty(" ", m.Type, prefixed("on ", m.Source), parenthesised(m.Options))
}

// prefixed is text with a prefix, or nothing.
func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}
