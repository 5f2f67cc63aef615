package traces

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Profile is a generated workload that imitates a published one: the
// characteristics it states, and no more. Everything a publication does not
// give was chosen, and says so.
type Profile struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
	// Requests is the length that the characteristics are stated for: how many
	// objects repeat depends on it.
	Requests        int              `json:"requests"`
	Workload        Workload         `json:"-"`
	Characteristics []Characteristic `json:"characteristics"`
}

// Characteristic is a measurable property that a profile's traces have.
type Characteristic struct {
	Metric    string  `json:"metric"` // one of the names that Summary.Metric knows
	Value     float64 `json:"value"`
	Tolerance float64 `json:"tolerance"` // how far a trace of Profile.Requests requests may be from Value
	Source    Source  `json:"source"`
}

// Source says where a characteristic's value comes from.
type Source struct {
	Work string     `json:"work,omitempty"` // the publication or public sample; empty if chosen
	At   string     `json:"at,omitempty"`   // the table, section or finding
	Kind SourceKind `json:"kind"`
	Note string     `json:"note,omitempty"`
}

// SourceKind is what a value was taken from.
type SourceKind string

// The kinds of source.
const (
	FromText   SourceKind = "text"
	FromTable  SourceKind = "table"
	FromFigure SourceKind = "figure"
	FromSample SourceKind = "sample" // measured here, with Summarize, on a public sample of the trace
	Chosen     SourceKind = "chosen, no published value"
)

// Generate makes n requests of the profile; n 0 stands for Requests.
func (p Profile) Generate(seed uint64, n int) []Request {
	if n == 0 {
		n = p.Requests
	}
	s, err := p.Workload.Stream(seed, int64(n))
	if err != nil {
		panic(fmt.Sprintf("profile %s: %v", p.Name, err)) // the table below is wrong; a test generates each
	}
	requests := make([]Request, n)
	for at := 0; at < n; {
		k, _ := s.Read(requests[at:])
		at += k
	}
	return requests
}

// Profiles lists the profiles.
func Profiles() []Profile { return slices.Clone(profiles) }

// LookupProfile finds a profile by name.
func LookupProfile(name string) (Profile, error) {
	names := make([]string, len(profiles))
	for i, p := range profiles {
		if p.Name == name {
			return p, nil
		}
		names[i] = p.Name
	}
	return Profile{}, fmt.Errorf("unknown profile %q: want one of %s", name, strings.Join(names, ", "))
}

// Metric gives a figure of the summary by name, NaN where the trace does not
// have it.
func (s *Summary) Metric(name string) float64 {
	of := func(p *float64) float64 {
		if p == nil {
			return math.NaN()
		}
		return *p
	}
	switch name {
	case "read_share":
		return float64(s.Reads) / float64(s.Requests)
	case "mean_size":
		return s.Size.Mean
	case "size_p75":
		return float64(s.Size.P75)
	case "read_size_p75":
		return float64(s.ReadSize.P75)
	case "write_size_p75":
		return float64(s.WriteSize.P75)
	case "mean_object_size":
		return float64(s.Footprint) / float64(s.Objects)
	case "one_hit_share":
		return s.OneHit
	case "objects":
		return float64(s.Objects)
	case "sequential_share":
		return of(s.Sequential)
	case "random_share":
		return of(s.Random)
	case "zipf_alpha":
		return of(s.ZipfAlpha)
	case "interarrival_cv":
		return of(s.InterArrivalCV)
	}
	return math.NaN()
}

const (
	gcar    = "S. Wu et al., Improving Performance for Flash-Based Storage Systems through GC-Aware Cache Management, IEEE TPDS 28(10), 2017, doi:10.1109/TPDS.2017.2692757"
	tica    = "R. Salkhordeh et al., An Efficient Hybrid I/O Caching Architecture Using Heterogeneous SSDs, IEEE TPDS 30(6), 2019, doi:10.1109/TPDS.2018.2883745"
	liTOS   = "J. Li et al., An In-Depth Comparative Analysis of Cloud Block Storage Workloads: Findings and Implications, ACM TOS 19(2), 2023, arXiv:2203.10766"
	breslau = "L. Breslau et al., Web Caching and Zipf-like Distributions: Evidence and Implications, IEEE INFOCOM 1999"
	maggs   = "B. Maggs and R. Sitaraman, Algorithmic Nuggets in Content Delivery, ACM CCR 45(3), 2015"
	twitter = "J. Yang et al., A Large Scale Analysis of Hundreds of In-Memory Cache Clusters at Twitter, OSDI 2020"
	vmTrace = "libCacheSim's sample trace cloudPhysicsIO.vscsi (2 h of one VM)"
	wsTrace = "MQSim's sample trace wsrch-small.trace (60 s of UMass WebSearch)"
	ocTrace = "MQSim's sample trace tpcc-small.trace (0.14 s of a TPC-C disk)"
)

func gcarTable(note string) Source { return Source{gcar, "table 4", FromTable, note} }
func ticaTable(note string) Source { return Source{tica, "table 2", FromTable, note} }
func measured(work string) Source  { return Source{work, "whole sample", FromSample, ""} }
func chosen(note string) Source    { return Source{Kind: Chosen, Note: note} }

var (
	liSizes    = Source{liTOS, "finding A.2", FromText, "75th percentile over all volumes' requests; read in a quotation"}
	liRandom   = Source{liTOS, "finding B.9", FromText, "median over the volumes; read in a quotation"}
	msrRandom  = Source{liTOS, "finding B.9", FromText, "median over the 36 MSR Cambridge volumes, not this volume's own; read in a quotation"}
	chosenSkew = chosen("popularity skew of the addresses that are not streamed")
)

// blocks is a volume's workload: a share of streamed requests in one stream
// with runs of 64, the others spread by popularity over objects of 4 KiB, in
// bursts.
func blocks(reads float64, readSizes, writeSizes Sizes, streamed float64, objects uint64, alpha, rate float64) Workload {
	return Workload{
		Pattern: Pattern{Kind: Mix, Parts: []Part{
			{Weight: streamed, Pattern: Pattern{Kind: Sequential, Objects: 1 << 24, Streams: 1, Run: 64}},
			{Weight: 1 - streamed, Pattern: Pattern{Kind: Zipf, Objects: objects, Alpha: alpha}},
		}},
		Reads: reads, ReadSizes: readSizes, WriteSizes: writeSizes,
		Arrivals: Arrivals{Kind: OnOff, Rate: rate, On: 1, Off: 4},
	}
}

// sizes pairs bytes with weights.
func sizes(pairs ...float64) Sizes {
	var s Sizes
	for i := 0; i < len(pairs); i += 2 {
		s.Bytes, s.Weights = append(s.Bytes, uint32(pairs[i])), append(s.Weights, pairs[i+1])
	}
	return s
}

func msrProfile(volume, doc string, reads float64, s Sizes, mean, meanTolerance float64, source Source, streamed float64) Profile {
	return Profile{
		Name: "msr-" + volume, Doc: doc, Requests: 200_000,
		Workload: blocks(reads, s, s, streamed, 1<<18, 0.9, 50),
		Characteristics: []Characteristic{
			{"read_share", reads, 0.005, source},
			{"mean_size", mean, meanTolerance, source},
			{"random_share", 0.294, 0.03, msrRandom},
			{"interarrival_cv", 20, 5, chosen("bursts of 1 s, pauses of 4 s on average")},
		},
	}
}

var profiles = []Profile{
	msrProfile("prxy_0", "MSR Cambridge firewall and web proxy, volume 0: almost only small writes", 0.029,
		sizes(4096, 0.60, 8192, 0.30, 16384, 0.07, 32768, 0.03), 6.8*1024, 350,
		gcarTable("97.1 % writes, 6.8 KB, over the first 5 million requests"), 0.708),
	msrProfile("prn_0", "MSR Cambridge print server, volume 0: large writes", 0.108,
		sizes(4096, 0.43, 8192, 0.15, 16384, 0.10, 32768, 0.10, 65536, 0.22), 22.2*1024, 1100,
		gcarTable("89.2 % writes, 22.2 KB"), 0.708),
	msrProfile("hm_0", "MSR Cambridge hardware monitoring, volume 0: mixed, small", 0.355,
		sizes(4096, 0.50, 8192, 0.30, 16384, 0.15, 32768, 0.03, 65536, 0.02), 9.2*1024, 470,
		gcarTable("64.5 % writes, 9.2 KB"), 0.708),
	msrProfile("wdev_0", "MSR Cambridge test web server, volume 0: write-dominant", 0.20,
		sizes(4096, 0.55, 8192, 0.20, 16384, 0.08, 65536, 0.17), 16*1024, 820,
		gcarTable("80.0 % writes, 16.0 KB"), 0.708),
	msrProfile("src1_0", "MSR Cambridge source control, volume 0: large requests, more reads than writes", 0.57,
		sizes(4096, 0.25, 16384, 0.10, 65536, 0.708), 46_300, 4600,
		ticaTable("57 % reads; mean from 1.65 TB over 37,415,613 requests, decimal or binary; the row is named Src1_2, but the count is src1_0's"), 0.708),
	msrProfile("usr_0", "MSR Cambridge user home directories, volume 0", 0.40,
		sizes(4096, 0.45, 8192, 0.15, 16384, 0.10, 65536, 0.30), 24_050, 2400,
		ticaTable("40 % reads; mean from 51.945 GB over 2,237,889 requests, decimal or binary"), 0.708),
	{
		Name: "alibaba", Doc: "a volume of Alibaba Cloud block storage: write-dominant, small", Requests: 200_000,
		Workload: blocks(0.25,
			sizes(4096, 0.55, 8192, 0.12, 12288, 0.13, 16384, 0.05, 65536, 0.10, 131072, 0.05),
			sizes(4096, 0.50, 8192, 0.12, 12288, 0.08, 16384, 0.12, 32768, 0.10, 65536, 0.08), 0.672, 1<<19, 0.8, 200),
		Characteristics: []Characteristic{
			{"read_share", 0.25, 0.005, chosen("the publications found say only that writes dominate")},
			{"read_size_p75", 12288, 0, liSizes},
			{"write_size_p75", 16384, 0, liSizes},
			{"random_share", 0.335, 0.03, liRandom},
		},
	},
	{
		Name: "tencent", Doc: "a volume of Tencent Cloud Block Storage", Requests: 200_000,
		Workload: blocks(0.30,
			sizes(4096, 0.45, 8192, 0.15, 16384, 0.10, 32768, 0.10, 65536, 0.15, 131072, 0.05),
			sizes(4096, 0.55, 8192, 0.15, 12288, 0.10, 32768, 0.10, 65536, 0.10), 0.583, 1<<19, 0.8, 200),
		Characteristics: []Characteristic{
			{"read_share", 0.30, 0.005, chosen("")},
			{"read_size_p75", 32768, 0, liSizes},
			{"write_size_p75", 12288, 0, liSizes},
			{"random_share", 0.421, 0.03, liRandom},
		},
	},
	{
		Name: "spc-financial1", Doc: "UMass Financial1: OLTP at a financial institution, write-dominant", Requests: 200_000,
		Workload: blocks(0.232, sizes(512, 0.10, 4096, 0.40, 8192, 0.30, 16384, 0.12, 32768, 0.08),
			sizes(512, 0.10, 4096, 0.40, 8192, 0.30, 16384, 0.12, 32768, 0.08), 0.2, 1<<18, 1, 120),
		Characteristics: []Characteristic{
			{"read_share", 0.232, 0.005, gcarTable("76.8 % writes")},
			{"mean_size", 8.5 * 1024, 430, gcarTable("8.5 KB")},
			{"zipf_alpha", 0.95, 0.1, chosenSkew},
		},
	},
	{
		Name: "spc-websearch", Doc: "UMass WebSearch: a search engine's index, reads without reuse", Requests: 25_000,
		Workload: Workload{
			Pattern: Pattern{Kind: Mix, Parts: []Part{
				{Weight: 0.48, Pattern: Pattern{Kind: Sequential, Objects: 1 << 22, Streams: 3, Run: 32}},
				{Weight: 0.52, Pattern: Pattern{Kind: Uniform, Objects: 1 << 24}},
			}},
			Reads:      0.99984,
			ReadSizes:  sizes(8192, 0.6, 16384, 0.1, 24576, 0.1, 32768, 0.2),
			WriteSizes: FixedSize(8192),
			Arrivals:   Arrivals{Kind: OnOff, Rate: 412.7, On: 0.01, Off: 0.0031},
		},
		Characteristics: []Characteristic{
			{"read_share", 0.99984, 0.0005, measured(wsTrace)},
			{"mean_size", 15_418, 400, measured(wsTrace)},
			{"size_p75", 24_576, 0, measured(wsTrace)},
			{"random_share", 0.529, 0.03, measured(wsTrace)},
			{"one_hit_share", 0.9999, 0.005, measured(wsTrace)},
			{"interarrival_cv", 1.33, 0.15, measured(wsTrace)},
		},
	},
	{
		Name: "tpcc", Doc: "a TPC-C database's disks: 8 KiB pages at random", Requests: 50_000,
		Workload: Workload{
			Pattern: Pattern{Kind: Mix, Parts: []Part{
				{Weight: 0.025, Pattern: Pattern{Kind: Sequential, Objects: 1 << 20, Streams: 1, Run: 64}},
				{Weight: 0.975, Pattern: Pattern{Kind: Uniform, Objects: 1 << 26}},
			}},
			Reads:     0.626,
			ReadSizes: sizes(8192, 0.995, 16384, 0.005), WriteSizes: sizes(8192, 0.95, 16384, 0.02, 32768, 0.03),
			Arrivals: Arrivals{Kind: Exponential, Rate: 51_270},
		},
		Characteristics: []Characteristic{
			{"read_share", 0.626, 0.01, measured(ocTrace)},
			{"mean_size", 8532, 170, measured(ocTrace)},
			{"random_share", 0.977, 0.02, measured(ocTrace)},
			{"interarrival_cv", 1.07, 0.1, measured(ocTrace)},
		},
	},
	{
		Name: "cloudphysics-vm", Doc: "a virtual machine's disk as CloudPhysics recorded them: bursts, streams, some reuse", Requests: 113_872,
		Workload: Workload{
			Pattern: Pattern{Kind: Mix, Parts: []Part{
				{Weight: 0.52, Pattern: Pattern{Kind: Sequential, Objects: 40_000, Streams: 1, Run: 32}},
				{Weight: 0.20, Pattern: Pattern{Kind: Loop, Objects: 8_000}},
				{Weight: 0.28, Pattern: Pattern{Kind: Zipf, Objects: 1 << 16, Alpha: 0.9}},
			}},
			Reads:     0.4125,
			ReadSizes: sizes(4096, 0.30, 8192, 0.10, 16384, 0.10, 65536, 0.45, 69632, 0.05), WriteSizes: sizes(4096, 0.30, 8192, 0.10, 16384, 0.10, 65536, 0.45, 69632, 0.05),
			Arrivals: Arrivals{Kind: OnOff, Rate: 15.8, On: 1, Off: 0.95},
		},
		Characteristics: []Characteristic{
			{"read_share", 0.4125, 0.01, measured(vmTrace)},
			{"mean_size", 36_936, 1100, measured(vmTrace)},
			{"size_p75", 65_536, 0, measured(vmTrace)},
			{"sequential_share", 0.26, 0.02, measured(vmTrace)},
			{"random_share", 0.25, 0.04, measured(vmTrace)},
			{"zipf_alpha", 0.95, 0.15, measured(vmTrace)},
			{"one_hit_share", 0.43, 0.06, measured(vmTrace)},
			{"interarrival_cv", 3.76, 0.6, measured(vmTrace)},
		},
	},
	{
		Name: "web-proxy", Doc: "object requests at a web proxy", Requests: 500_000,
		Workload: Workload{
			Pattern: Pattern{Kind: Zipf, Objects: 1 << 18, Alpha: 0.75}, Objects: true, Reads: 1,
			ReadSizes: Sizes{Median: 4096, Sigma: 1.4}, Arrivals: Arrivals{Kind: Exponential, Rate: 100},
		},
		Characteristics: []Characteristic{
			{"zipf_alpha", 0.735, 0.095, Source{breslau, "the exponents of the proxy traces", FromText, "0.64 to 0.83 from trace to trace; read in a quotation"}},
			{"mean_object_size", 10_900, 1100, chosen("log-normal, median 4 KiB")},
		},
	},
	{
		Name: "cdn", Doc: "object requests at a content delivery network's edge: skewed, with many one-hit wonders", Requests: 500_000,
		Workload: Workload{
			Pattern: Pattern{Kind: Mix, Parts: []Part{
				{Weight: 0.80, Pattern: Pattern{Kind: Zipf, Objects: 1 << 16, Alpha: 0.95}},
				{Weight: 0.20, Pattern: Pattern{Kind: Once}},
			}},
			Objects: true, Reads: 1, ReadSizes: Sizes{Median: 16384, Sigma: 1.8},
			Arrivals: Arrivals{Kind: Exponential, Rate: 1000},
		},
		Characteristics: []Characteristic{
			{"one_hit_share", 0.75, 0.05, Source{maggs, "one-hit wonders", FromText, "nearly three quarters; read in a summary by others"}},
			{"zipf_alpha", 0.95, 0.05, chosenSkew},
		},
	},
	{
		Name: "twitter-kv", Doc: "an in-memory key-value cache cluster as at Twitter: tiny objects, skewed", Requests: 500_000,
		Workload: Workload{
			Pattern: Pattern{Kind: Zipf, Objects: 1 << 18, Alpha: 1.1}, Objects: true, Reads: 0.9,
			ReadSizes: Sizes{Median: 150, Sigma: 0.9245}, Arrivals: Arrivals{Kind: Exponential, Rate: 10_000},
		},
		Characteristics: []Characteristic{
			{"mean_object_size", 230, 15, Source{twitter, "object sizes", FromText, "median over the clusters' means; read in a summary by others"}},
			{"read_share", 0.9, 0.005, chosen("more than 30 % writes in 35 % of the clusters")},
			{"zipf_alpha", 1.1, 0.1, chosenSkew},
		},
	},
	{
		Name: "db-scan", Doc: "a database's hot pages, swept again and again by table scans: what scan resistance is for", Requests: 300_000,
		Workload: Workload{
			Pattern: Pattern{Kind: Phases, Parts: []Part{
				{Length: 30_000, Pattern: Pattern{Kind: Zipf, Objects: 20_000, Alpha: 0.9}},
				{Length: 10_000, Pattern: Pattern{Kind: Loop, Objects: 50_000}},
			}},
			Block: 8192, Reads: 0.8, ReadSizes: FixedSize(8192), WriteSizes: FixedSize(8192),
			Arrivals: Arrivals{Kind: Exponential, Rate: 5000},
		},
		Characteristics: []Characteristic{
			{"read_share", 0.8, 0.005, chosen("")},
			{"sequential_share", 0.233, 0.02, chosen("7 of 30 parts are scans")},
			{"mean_size", 8192, 0, chosen("the page size of the tpcc profile")},
		},
	},
}
