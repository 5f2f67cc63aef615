package runner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"reprise/runner/node"
)

// Seat is a node in a role.
type Seat struct {
	Node    node.Node
	Address string // under which the other nodes reach it
}

// RolesNeeded is how many nodes of each role the plan's steps need.
func (p *Plan) RolesNeeded() map[string]int {
	need := map[string]int{}
	for _, s := range p.Steps {
		for role, count := range s.Nodes {
			need[role] = max(need[role], count)
		}
	}
	return need
}

// SeatNodes gives nodes the roles that a plan needs. roles names the role of each
// node; where nobody has said, the nodes take the roles in alphabetical order.
func SeatNodes(need map[string]int, seats []Seat, roles []string) (map[string][]Seat, error) {
	if len(need) == 0 {
		return nil, nil
	}
	for _, s := range seats {
		if _, is := s.Node.(node.Queue); is {
			return nil, fmt.Errorf("%s chooses the machines, and the experiments ask for nodes in roles (%s)", s.Node.Name(), RolesText(need))
		}
	}
	given := map[string][]Seat{}
	if len(roles) > 0 {
		for i, role := range roles {
			given[role] = append(given[role], seats[i])
		}
	} else {
		rest := seats
		for _, role := range sortedStrings(need) {
			n := min(need[role], len(rest))
			given[role], rest = rest[:n], rest[n:]
		}
	}
	for _, role := range sortedStrings(need) {
		if have := len(given[role]); have < need[role] {
			return nil, fmt.Errorf("the experiments ask for nodes in roles (%s), and there are %d of %s", RolesText(need), have, role)
		}
	}
	return given, nil
}

// RolesText says how many nodes there are of each role.
func RolesText(need map[string]int) string {
	var parts []string
	for _, role := range sortedStrings(need) {
		parts = append(parts, fmt.Sprintf("%d %s", need[role], role))
	}
	return strings.Join(parts, ", ")
}

// seated reports roles of a step's platform that the engine has no nodes for.
func (e *Engine) seated(s *Step) error {
	for _, role := range sortedStrings(s.Nodes) {
		if len(e.Roles[role]) < s.Nodes[role] {
			return fmt.Errorf("%s: its platform has %d nodes of the role %s, and the run has %d", s.ID, s.Nodes[role], role, len(e.Roles[role]))
		}
	}
	return nil
}

// roles tells a step the addresses of its platform's nodes, and its own role.
func (e *Engine) roles(s *Step) []string {
	var env []string
	for _, role := range sortedStrings(s.Nodes) {
		var addresses []string
		for _, seat := range e.Roles[role][:s.Nodes[role]] {
			addresses = append(addresses, seat.Address)
		}
		env = append(env, "REPRISE_NODES_"+strings.ToUpper(role)+"="+strings.Join(addresses, " "))
	}
	if s.Role != "" {
		env = append(env, "REPRISE_ROLE="+s.Role, "REPRISE_ROLE_INDEX="+strconv.Itoa(s.Instance))
	}
	return slices.Clip(env)
}
