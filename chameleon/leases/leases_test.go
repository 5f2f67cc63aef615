package leases

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	th "github.com/gophercloud/gophercloud/v2/testhelper"
	"github.com/gophercloud/gophercloud/v2/testhelper/client"
	"github.com/stretchr/testify/require"
)

// lease is an answer of a real Blazar Zed, shortened.
const lease = `{"created_at": "2026-11-22 18:07:43", "updated_at": null, "id": "97baf67d-2e2c-451b-b77f-a5be6d1157fe", "name": "one",
 "user_id": "u", "project_id": "p", "start_date": "2026-11-22T18:07:00.000000", "end_date": "2026-11-22T19:07:00.000000", "trust_id": "t", "status": "PENDING", "degraded": false,
 "reservations": [
  {"id": "r1", "lease_id": "97baf67d-2e2c-451b-b77f-a5be6d1157fe", "resource_id": "x", "resource_type": "virtual:floatingip", "status": "pending", "missing_resources": false, "resources_changed": false, "network_id": "n", "amount": 1, "required_floatingips": []},
  {"id": "r2", "lease_id": "97baf67d-2e2c-451b-b77f-a5be6d1157fe", "resource_id": "y", "resource_type": "physical:host", "status": "pending", "missing_resources": false, "resources_changed": false, "resource_properties": "[\"=\", \"$node_type\", \"compute_nvme\"]", "min": 1, "max": 2}],
 "events": [{"id": "e", "event_type": "end_lease", "time": "2026-11-22T19:07:00.000000", "status": "UNDONE"}]}`

// serve answers one request and gives its body.
func serve(t *testing.T, server th.FakeServer, method, path string, code int, answer string) *string {
	t.Helper()
	body := new(string)
	server.Mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		th.TestMethod(t, r, method)
		th.TestHeader(t, r, "Accept", "application/json") // without it Blazar answers 500
		data, _ := io.ReadAll(r.Body)
		*body = string(data)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, answer)
	})
	return body
}

func TestCreate(t *testing.T) {
	server := th.SetupHTTP()
	defer server.Teardown()
	body := serve(t, server, "POST", "/leases", 201, `{"lease": `+lease+`}`)
	zone := time.FixedZone("west", -6*3600)
	made, err := Create(t.Context(), client.ServiceClient(server), CreateOpts{
		Name: "one", EndDate: time.Date(2026, 11, 22, 13, 7, 59, 0, zone),
		Reservations: []ReservationOptsBuilder{
			HostReservationOpts{Min: 1, Max: 2, ResourceProperties: Or(Equal("node_type", "compute_nvme"), Equal("uid", `a"b`))},
			FloatingIPReservationOpts{NetworkID: "n", Amount: 1, Required: []string{"192.0.2.200"}},
		},
	}).Extract()
	require.NoError(t, err)
	require.JSONEq(t, `{"name": "one", "start_date": "now", "end_date": "2026-11-22 19:07", "events": [], "reservations": [
	  {"resource_type": "physical:host", "min": 1, "max": 2, "hypervisor_properties": "", "resource_properties": "[\"or\",[\"=\",\"$node_type\",\"compute_nvme\"],[\"=\",\"$uid\",\"a\\\"b\"]]"},
	  {"resource_type": "virtual:floatingip", "network_id": "n", "amount": 1, "required_floatingips": ["192.0.2.200"]}]}`, *body)
	require.Equal(t, time.Date(2026, 11, 22, 18, 7, 0, 0, time.UTC), made.StartDate)
	require.Equal(t, time.Date(2026, 11, 22, 19, 7, 0, 0, time.UTC), made.EndDate)
	require.Equal(t, time.Date(2026, 11, 22, 18, 7, 43, 0, time.UTC), made.CreatedAt)
	require.Equal(t, Pending, made.Status)
	require.Equal(t, "r2", made.Reservations[1].ID)
	require.Equal(t, 2, made.Reservations[1].Max)
	require.Equal(t, []Event{{Type: "end_lease", Status: "UNDONE", Time: made.EndDate}}, made.Events)
}

func TestCreateRefusesWhatBlazarWould(t *testing.T) {
	good := []ReservationOptsBuilder{HostReservationOpts{Min: 1, Max: 1}}
	end := time.Now()
	for name, opts := range map[string]CreateOpts{
		"no name":         {EndDate: end, Reservations: good},
		"a long name":     {Name: strings.Repeat("x", 81), EndDate: end, Reservations: good},
		"no end":          {Name: "n", Reservations: good},
		"no reservations": {Name: "n", EndDate: end},
		"no hosts":        {Name: "n", EndDate: end, Reservations: []ReservationOptsBuilder{HostReservationOpts{}}},
		"max below min":   {Name: "n", EndDate: end, Reservations: []ReservationOptsBuilder{HostReservationOpts{Min: 2, Max: 1}}},
		"no network":      {Name: "n", EndDate: end, Reservations: []ReservationOptsBuilder{FloatingIPReservationOpts{Amount: 1}}},
		"no addresses":    {Name: "n", EndDate: end, Reservations: []ReservationOptsBuilder{FloatingIPReservationOpts{NetworkID: "n"}}},
	} {
		_, err := opts.ToLeaseCreateMap()
		require.Error(t, err, name)
	}
}

func TestListGetUpdateDelete(t *testing.T) {
	server := th.SetupHTTP()
	defer server.Teardown()
	c := client.ServiceClient(server)
	serve(t, server, "GET", "/leases", 200, `{"leases": [`+lease+`]}`)
	pages, err := List(c).AllPages(t.Context())
	require.NoError(t, err)
	all, err := ExtractLeases(pages)
	require.NoError(t, err)
	require.Len(t, all, 1)

	serve(t, server, "GET", "/leases/one", 200, `{"lease": `+lease+`}`)
	got, err := Get(t.Context(), c, "one").Extract()
	require.NoError(t, err)
	require.Equal(t, all[0], *got)

	body := serve(t, server, "PUT", "/leases/two", 200, `{"lease": `+lease+`}`)
	_, err = Update(t.Context(), c, "two", UpdateOpts{EndDate: time.Date(2026, 11, 22, 19, 37, 0, 0, time.UTC)}).Extract()
	require.NoError(t, err)
	require.JSONEq(t, `{"end_date": "2026-11-22 19:37"}`, *body)
	require.Error(t, Update(t.Context(), c, "two", UpdateOpts{}).Err)

	serve(t, server, "DELETE", "/leases/three", 204, "")
	require.NoError(t, Delete(t.Context(), c, "three").ExtractErr())

	for path, answer := range map[string]string{"/leases/none": `{}`, "/leases/half": `{"lease": {"id": "a", "end_da`, "/leases/date": `{"lease": {"id": "a", "end_date": "tomorrow"}}`} {
		serve(t, server, "GET", path, 200, answer)
		_, err := Get(t.Context(), c, strings.TrimPrefix(path, "/leases/")).Extract()
		require.Error(t, err, answer)
	}
}

func FuzzLease(f *testing.F) {
	f.Add([]byte(lease))
	f.Fuzz(func(_ *testing.T, data []byte) {
		var l Lease
		_ = json.Unmarshal(data, &l)
	})
}
