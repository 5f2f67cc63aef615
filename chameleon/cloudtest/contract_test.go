package cloudtest

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// record is one exchange with a real Blazar, or a look at the states of a
// lease.
type record struct {
	Label    string
	Method   string
	Path     string
	Request  json.RawMessage
	Status   int
	Response json.RawMessage
	Lease    string // the state seen in a look
}

type leaseAnswer struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	StartDate    string           `json:"start_date"`
	EndDate      string           `json:"end_date"`
	CreatedAt    string           `json:"created_at"`
	UpdatedAt    string           `json:"updated_at"`
	Status       string           `json:"status"`
	Degraded     bool             `json:"degraded"`
	Reservations []map[string]any `json:"reservations"`
	Events       []map[string]any `json:"events"`
}

// TestBlazarFollowsTheRecording replays a conversation with a real Blazar Zed
// and compares every status, every error, and of every lease all that is not
// an identifier or the instant of a change.
func TestBlazarFollowsTheRecording(t *testing.T) {
	path := os.Getenv("REPRISE_BLAZAR_CONTRACT")
	if path == "" {
		path = filepath.Join("..", "..", "..", "shared", "fixtures", "blazar-contract.jsonl")
	}
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("no recording (REPRISE_BLAZAR_CONTRACT): %v", err)
	}
	defer f.Close()

	now := time.Date(2026, 11, 22, 18, 7, 40, 0, time.UTC)
	blazar := &Blazar{
		NetworkID: "cb4859b7-e2dd-4b84-adf1-0bae1dd8d913", FloatingIPs: []string{"192.0.2.200", "192.0.2.201"},
		Hosts: []Host{
			{"node3", map[string]string{"node_type": "storage_nvme", "uid": "uid-node3"}},
			{"node2", map[string]string{"node_type": "compute_nvme", "uid": "uid-node2"}},
			{"node1", map[string]string{"node_type": "compute_nvme", "uid": "uid-node1"}},
		},
		Now:   func() time.Time { return now },
		Delay: time.Second,
		Identify: func(token string) (Identity, bool) {
			return Identity{User: "u", Project: "p", Admin: token == "admin"}, token != ""
		},
	}
	server := httptest.NewServer(blazar)
	defer server.Close()

	ids := map[string]string{} // recorded → ours
	do := func(r record, path string) (int, []byte) {
		token := "member"
		if strings.Contains(r.Label, "admin") || r.Label == "host allocations" {
			token = "admin"
		}
		req, err := http.NewRequestWithContext(t.Context(), r.Method, server.URL+path, strings.NewReader(string(r.Request)))
		require.NoError(t, err)
		req.Header.Set("X-Auth-Token", token)
		req.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, body
	}

	replayed := 0
	var short string // id of the lease whose end was watched
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		require.NoError(t, json.Unmarshal(lines.Bytes(), &r))
		replayed++
		if r.Label == "status trace" {
			// Looks at the two-minute lease: active, then after its end.
			if r.Lease != "ACTIVE" {
				now = time.Date(2026, 11, 22, 18, 9, 0, 0, time.UTC)
			}
			code, body := do(record{Method: http.MethodGet}, "/v1/leases/"+short)
			require.Equal(t, 200, code)
			var seen struct{ Lease *leaseAnswer }
			require.NoError(t, json.Unmarshal(body, &seen))
			require.Equal(t, r.Lease, seen.Lease.Status)
			continue
		}
		if strings.HasPrefix(r.Label, "free pool:") && r.Label != "free pool: same name 2" {
			blazar.leases = nil
		}
		var recorded struct{ Lease *leaseAnswer }
		_ = json.Unmarshal(r.Response, &recorded)
		if l := recorded.Lease; l != nil && r.Method != http.MethodGet {
			at := l.CreatedAt
			if r.Method == http.MethodPut {
				at = l.UpdatedAt
			}
			then, err := time.Parse(stampFormat, at)
			require.NoError(t, err)
			if then.After(now) {
				now = then
			}
		} else if strings.HasPrefix(r.Label, "free pool:") {
			now = time.Date(2026, 11, 22, 18, 9, 30, 0, time.UTC)
		}
		path := r.Path
		for theirs, ours := range ids {
			path = strings.ReplaceAll(path, theirs, ours)
		}
		code, body := do(r, path)
		require.Equal(t, r.Status, code, "%s: %s", r.Label, body)
		var theirs, ours map[string]any
		if json.Unmarshal(r.Response, &theirs) != nil {
			continue // no body
		}
		require.NoError(t, json.Unmarshal(body, &ours), r.Label)
		if code >= 400 {
			require.Equal(t, theirs, ours, r.Label)
			continue
		}
		if recorded.Lease == nil {
			for key := range theirs {
				require.Contains(t, ours, key, r.Label)
			}
			continue
		}
		var answered struct{ Lease *leaseAnswer }
		require.NoError(t, json.Unmarshal(body, &answered))
		ids[recorded.Lease.ID] = answered.Lease.ID
		if answered.Lease.Name == "short" {
			short = answered.Lease.ID
		}
		compareLeases(t, r.Label, recorded.Lease, answered.Lease)
	}
	require.NoError(t, lines.Err())
	require.Equal(t, 58, replayed)
}

func compareLeases(t *testing.T, label string, theirs, ours *leaseAnswer) {
	t.Helper()
	require.Equal(t, theirs.Name, ours.Name, label)
	require.Equal(t, theirs.StartDate, ours.StartDate, label)
	require.Equal(t, theirs.EndDate, ours.EndDate, label)
	require.Equal(t, theirs.Degraded, ours.Degraded, label)
	require.Equal(t, theirs.Status, ours.Status, label)
	require.Len(t, ours.Reservations, len(theirs.Reservations), label)
	find := func(list []map[string]any, key string, value any) map[string]any {
		for _, m := range list {
			if m[key] == value {
				return m
			}
		}
		t.Fatalf("%s: no %s %v", label, key, value)
		return nil
	}
	for _, r := range theirs.Reservations { // in no order
		mine := find(ours.Reservations, "resource_type", r["resource_type"])
		for key, value := range r {
			require.Contains(t, mine, key, label)
			if !strings.HasSuffix(key, "id") && !strings.HasSuffix(key, "_at") {
				require.Equal(t, value, mine[key], "%s: %s", label, key)
			}
		}
	}
	require.Len(t, ours.Events, len(theirs.Events), label)
	for _, e := range theirs.Events {
		mine := find(ours.Events, "event_type", e["event_type"])
		require.Equal(t, e["time"], mine["time"], label)
		require.Equal(t, e["status"], mine["status"], label)
	}
}
