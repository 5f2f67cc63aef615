package leases

import (
	"encoding/json"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// The states of a lease.
const (
	Creating    = "CREATING"
	Pending     = "PENDING" // made, its start has not come
	Starting    = "STARTING"
	Active      = "ACTIVE"
	Updating    = "UPDATING"
	Terminating = "TERMINATING"
	Terminated  = "TERMINATED" // ended; can still be read and deleted
	Deleting    = "DELETING"
	Error       = "ERROR"
)

type commonResult struct{ gophercloud.Result }

// Extract interprets any commonResult as a Lease.
func (r commonResult) Extract() (*Lease, error) {
	var s struct {
		Lease *Lease `json:"lease"`
	}
	if err := r.ExtractInto(&s); err != nil {
		return nil, err
	}
	if s.Lease == nil || s.Lease.ID == "" {
		return nil, gophercloud.ErrMissingResourceKey{Expected: "lease"}
	}
	return s.Lease, nil
}

// CreateResult is the response from a Create operation.
type CreateResult struct{ commonResult }

// GetResult is the response from a Get operation.
type GetResult struct{ commonResult }

// UpdateResult is the response from an Update operation.
type UpdateResult struct{ commonResult }

// DeleteResult is the response from a Delete operation.
type DeleteResult struct{ gophercloud.ErrResult }

// Lease is a lease of resources for a time.
type Lease struct {
	ID        string `json:"id"`
	Name      string `json:"name"`
	UserID    string `json:"user_id"`
	ProjectID string `json:"project_id"`
	TrustID   string `json:"trust_id"`
	Status    string `json:"status"`
	// Degraded says that a resource of the lease has failed.
	Degraded     bool          `json:"degraded"`
	StartDate    time.Time     `json:"-"`
	EndDate      time.Time     `json:"-"`
	CreatedAt    time.Time     `json:"-"`
	Reservations []Reservation `json:"reservations"`
	Events       []Event       `json:"events"`
}

// Reservation is one kind of resource in a lease.
type Reservation struct {
	// ID is what a server's scheduler hint names.
	ID               string `json:"id"`
	LeaseID          string `json:"lease_id"`
	ResourceID       string `json:"resource_id"`
	ResourceType     string `json:"resource_type"`
	Status           string `json:"status"` // pending, active, deleted or error
	MissingResources bool   `json:"missing_resources"`
	ResourcesChanged bool   `json:"resources_changed"`
	// Of physical:host.
	Min                int    `json:"min"`
	Max                int    `json:"max"`
	ResourceProperties string `json:"resource_properties"`
	// Of flavor:instance; Amount too.
	FlavorID string `json:"flavor_id"`
	// Of virtual:floatingip.
	Amount    int      `json:"amount"`
	NetworkID string   `json:"network_id"`
	Required  []string `json:"required_floatingips"`
}

// Event is something that happens to a lease at a time.
type Event struct {
	Type   string    `json:"event_type"` // start_lease, before_end_lease or end_lease
	Status string    `json:"status"`     // UNDONE, IN_PROGRESS, DONE or ERROR
	Time   time.Time `json:"-"`
}

// UnmarshalJSON reads Blazar's dates.
func (l *Lease) UnmarshalJSON(b []byte) error {
	type tmp Lease
	var s struct {
		tmp
		StartDate gophercloud.JSONRFC3339MilliNoZ `json:"start_date"`
		EndDate   gophercloud.JSONRFC3339MilliNoZ `json:"end_date"`
		CreatedAt gophercloud.JSONRFC3339ZNoTNoZ  `json:"created_at"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*l = Lease(s.tmp)
	l.StartDate, l.EndDate, l.CreatedAt = time.Time(s.StartDate), time.Time(s.EndDate), time.Time(s.CreatedAt)
	return nil
}

// UnmarshalJSON reads Blazar's dates.
func (e *Event) UnmarshalJSON(b []byte) error {
	type tmp Event
	var s struct {
		tmp
		Time gophercloud.JSONRFC3339MilliNoZ `json:"time"`
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*e = Event(s.tmp)
	e.Time = time.Time(s.Time)
	return nil
}

// LeasePage is the answer to List, which is never paged.
type LeasePage struct{ pagination.SinglePageBase }

// IsEmpty says that there is no lease.
func (r LeasePage) IsEmpty() (bool, error) {
	if r.StatusCode == 204 {
		return true, nil
	}
	all, err := ExtractLeases(r)
	return len(all) == 0, err
}

// ExtractLeases gives the leases of a page.
func ExtractLeases(p pagination.Page) ([]Lease, error) {
	var s struct {
		Leases []Lease `json:"leases"`
	}
	err := (p.(LeasePage)).ExtractInto(&s)
	return s.Leases, err
}
