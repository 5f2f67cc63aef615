package chameleon

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"reprise/artifacts"
	"reprise/runner/device"
)

// resolves says that the plan's nodes are still to be found.
func (p Plan) resolves() bool { return len(p.Devices) > 0 && len(p.Nodes) == 0 }

// referenceNode is a node as the reference API describes it.
type referenceNode struct {
	UID      string             `json:"uid"`
	Name     string             `json:"node_name"`
	NodeType string             `json:"node_type"`
	Storage  []referenceStorage `json:"storage_devices"`
}

type referenceStorage struct {
	Device    string          `json:"device"`
	Interface string          `json:"interface"` // SATA, SAS, PCIe, …
	Media     string          `json:"media_type"`
	Vendor    string          `json:"vendor"`
	Model     string          `json:"model"`
	Size      json.RawMessage `json:"size"` // bytes, as a number or a text
}

// disk is the device as its node's kernel will name it, as far as is known.
func (s referenceStorage) disk() device.Device {
	d := device.Device{Path: s.Device, Model: s.Model, Kind: "ssd"}
	text := strings.ToLower(s.Interface + " " + s.Device + " " + s.Media)
	switch {
	case strings.Contains(text, "nvme"), strings.Contains(text, "pci"):
		d.Kind = "nvme"
	case strings.Contains(text, "rotational"), strings.Contains(text, "hdd"):
		d.Kind = "hdd"
	}
	size, _ := strconv.ParseFloat(strings.Trim(string(s.Size), `"`), 64)
	d.Bytes = uint64(max(size, 0))
	return d
}

// referenceLimit is how much of an answer of the reference API is read.
const referenceLimit = 64 << 20

// reference asks the site's reference API for its nodes. It is public: the
// login is not sent there.
func (p *Provider) reference(ctx context.Context, url string) ([]referenceNode, error) {
	const doing = "ask the reference API which nodes have the devices"
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	unreachable := func(err error) error {
		return &Error{Doing: doing, Kind: Unreachable, Detail: transportReason(err), Hint: "name the nodes by uid with --node", Err: err}
	}
	var answer struct {
		Items []referenceNode `json:"items"`
	}
	for failures := uint(0); ; failures++ {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return nil, unreachable(err)
		}
		r.Header.Set("Accept", "application/json")
		resp, err := http.DefaultClient.Do(r)
		if err == nil {
			var data []byte
			data, err = io.ReadAll(io.LimitReader(resp.Body, referenceLimit))
			_ = resp.Body.Close()
			if err == nil && resp.StatusCode != http.StatusOK {
				err = fmt.Errorf("%s: HTTP %d", url, resp.StatusCode)
			}
			if err == nil {
				err = json.Unmarshal(data, &answer)
			}
		}
		if err == nil {
			return answer.Items, nil
		}
		if failures+1 >= attempts || ctx.Err() != nil || sleep(ctx, p.poll()<<failures) != nil {
			return nil, unreachable(err)
		}
	}
}

// resolve finds the nodes of the plan's type that have its devices, by uid.
func (p *Provider) resolve(ctx context.Context, plan Plan) (Plan, error) {
	all, err := p.reference(ctx, plan.Site.Reference)
	if err != nil {
		return plan, err
	}
	ofType := 0
	var why error
	for _, n := range all {
		if plan.NodeType != "" && n.NodeType != plan.NodeType {
			continue
		}
		ofType++
		var disks []device.Device
		for _, s := range n.Storage {
			disks = append(disks, s.disk())
		}
		if _, lacks := device.Choose(plan.Devices, disks); lacks != nil {
			why = lacks
			continue
		}
		plan.Nodes = append(plan.Nodes, n.UID)
	}
	slices.Sort(plan.Nodes)
	if len(plan.Nodes) < plan.Count {
		e := &Error{Doing: "find nodes with the devices", Kind: NoHosts, Detail: fmt.Sprintf("%d of the %d nodes of type %s at %s have %s, and %d are needed", len(plan.Nodes), ofType, plan.NodeType, plan.Site.Name, devicesText(plan.Devices), plan.Count)}
		if why != nil {
			e.Detail += "; for example: " + why.Error()
		}
		return plan, e
	}
	p.say("%d of the %d nodes of type %s have %s: %s", len(plan.Nodes), ofType, plan.NodeType, devicesText(plan.Devices), strings.Join(plan.Nodes, ", "))
	return plan, nil
}

func devicesText(wants map[string]artifacts.Device) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(wants)) {
		parts = append(parts, device.Describe(wants[name]))
	}
	return strings.Join(parts, " and ")
}
