package nbd

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"reprise/emulator"
)

// ServerStat is the state of a server.
type ServerStat struct {
	Exports []Stat `json:"exports"`
	// Late is how late paced replies left, absent if unpaced.
	Late *emulator.Histogram `json:"late_ns,omitempty"`
}

// Stat returns the present counters of all exports.
func (s *Server) Stat() ServerStat {
	var st ServerStat
	for _, e := range s.Exports {
		st.Exports = append(st.Exports, e.Stat())
	}
	if s.Paced {
		st.Late = s.Lateness()
	}
	return st
}

// Handler serves the counters: /stat as JSON, /metrics as Prometheus text.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stat", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.Stat()) // a client that left cannot be told
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte(s.prometheus()))
	})
	return mux
}

func (s *Server) prometheus() string {
	var b strings.Builder
	stats := s.Stat()
	family := func(name, kind, help string, value func(Stat) float64) {
		fmt.Fprintf(&b, "# HELP reprise_ssd_%s %s\n# TYPE reprise_ssd_%s %s\n", name, help, name, kind)
		for _, e := range stats.Exports {
			fmt.Fprintf(&b, "reprise_ssd_%s{export=%q} %v\n", name, e.Name, value(e))
		}
	}
	const counter, gauge = "counter", "gauge"
	family("host_pages_total", counter, "Flash pages programmed for the host.", func(e Stat) float64 { return float64(e.Device.HostPages) })
	family("gc_pages_total", counter, "Flash pages programmed by collection.", func(e Stat) float64 { return float64(e.Device.GCPages) })
	family("wl_pages_total", counter, "Flash pages programmed by wear leveling.", func(e Stat) float64 { return float64(e.Device.WLPages) })
	family("block_erases_total", counter, "Blocks erased.", func(e Stat) float64 { return float64(e.Device.BlockErases) })
	family("trimmed_pages_total", counter, "Pages discarded by the host.", func(e Stat) float64 { return float64(e.Device.Trimmed) })
	family("write_amplification", gauge, "Programs over programs for the host.", func(e Stat) float64 { return e.Device.WAF })
	family("erase_count_mean", gauge, "Mean erase count of lines.", func(e Stat) float64 { return e.Device.EraseMean })
	family("erase_count_max", gauge, "Largest erase count of lines.", func(e Stat) float64 { return float64(e.Device.EraseMax) })
	family("bad_blocks", gauge, "Blocks retired.", func(e Stat) float64 { return float64(e.Device.BadBlocks) })
	family("free_lines", gauge, "Erased lines.", func(e Stat) float64 { return float64(e.Device.FreeLines) })
	family("read_requests_total", counter, "Reads by clients.", func(e Stat) float64 { return float64(e.Client.Reads) })
	family("write_requests_total", counter, "Writes by clients.", func(e Stat) float64 { return float64(e.Client.Writes) })
	family("trim_requests_total", counter, "Trims by clients.", func(e Stat) float64 { return float64(e.Client.Trims) })
	family("request_errors_total", counter, "Requests refused or failed.", func(e Stat) float64 { return float64(e.Client.Errors) })
	family("read_bytes_total", counter, "Bytes read by clients.", func(e Stat) float64 { return float64(e.Client.ReadBytes) })
	family("write_bytes_total", counter, "Bytes written by clients.", func(e Stat) float64 { return float64(e.Client.WriteBytes) })
	summary := func(name, help string, series map[string]*emulator.Histogram) {
		fmt.Fprintf(&b, "# HELP reprise_ssd_%s %s\n# TYPE reprise_ssd_%s summary\n", name, help, name)
		for _, labels := range slices.Sorted(maps.Keys(series)) {
			h := series[labels]
			for _, q := range []float64{0.5, 0.99, 0.999} {
				fmt.Fprintf(&b, "reprise_ssd_%s{%squantile=\"%v\"} %v\n", name, labels, q, float64(h.Quantile(q))/1e9)
			}
			own := ""
			if labels != "" {
				own = "{" + strings.TrimSuffix(labels, ",") + "}"
			}
			fmt.Fprintf(&b, "reprise_ssd_%s_sum%s %v\nreprise_ssd_%s_count%s %d\n", name, own, h.Mean()*float64(h.Count())/1e9, name, own, h.Count())
		}
	}
	latencies := map[string]*emulator.Histogram{}
	for _, e := range stats.Exports {
		latencies[fmt.Sprintf("export=%q,op=\"read\",", e.Name)] = e.Client.ReadLatency
		latencies[fmt.Sprintf("export=%q,op=\"write\",", e.Name)] = e.Client.WriteLatency
	}
	summary("latency_seconds", "Latency of the device, not the connection.", latencies)
	if stats.Late != nil {
		summary("reply_lateness_seconds", "How late paced replies left.", map[string]*emulator.Histogram{"": stats.Late})
	}
	return b.String()
}
