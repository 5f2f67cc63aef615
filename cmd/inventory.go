package cmd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// inventory is a file of hosts for --on.
type inventory struct {
	Hosts     []string            `yaml:"hosts"`      // [user@]host[:port]
	Roles     map[string][]string `yaml:"roles"`      // the same by role, instead
	SSHConfig string              `yaml:"ssh_config"` // beside the inventory, if relative
}

// isInventory says that --on names a file.
func isInventory(on string) bool {
	ext := filepath.Ext(on)
	return ext == ".yaml" || ext == ".yml"
}

// readInventory puts a file of hosts in the words of --on ssh:….
func readInventory(f nodeFlags) (nodeFlags, error) {
	data, err := os.ReadFile(f.on)
	if err != nil {
		return f, fail(ExitUsage, fmt.Errorf("inventory: %w", err))
	}
	var list inventory
	lines := yaml.NewDecoder(bytes.NewReader(data))
	lines.KnownFields(true)
	err = lines.Decode(&list)
	if errors.Is(err, io.EOF) {
		err = errors.New("the file is empty")
	}
	if err == nil && len(list.Hosts) > 0 && len(list.Roles) > 0 {
		err = errors.New("it names hosts both with and without a role")
	}
	for _, role := range slices.Sorted(maps.Keys(list.Roles)) {
		for _, host := range list.Roles[role] {
			list.Hosts, f.roles = append(list.Hosts, host), append(f.roles, role)
		}
	}
	if err == nil && len(list.Hosts) == 0 {
		err = errors.New("it names no hosts")
	}
	for _, host := range list.Hosts {
		if err == nil && (host == "" || strings.ContainsAny(host, ", \t")) {
			err = fmt.Errorf("%q is no host", host)
		}
	}
	if err != nil {
		return f, fail(ExitManifest, fmt.Errorf("inventory %s: %w", f.on, err), "write hosts: [user@node1, node2:2222], or roles: {server: [node1], client: [node2]}, and ssh_config: FILE if they need one")
	}
	if f.sshConfig == "" && list.SSHConfig != "" {
		f.sshConfig = list.SSHConfig
		if !filepath.IsAbs(f.sshConfig) {
			f.sshConfig = filepath.Join(filepath.Dir(f.on), f.sshConfig)
		}
	}
	f.on = "ssh:" + strings.Join(list.Hosts, ",")
	return f, nil
}
