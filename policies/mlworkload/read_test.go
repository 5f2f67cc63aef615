package mlworkload

import (
	"bytes"
	"compress/gzip"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// trace opens a real log; the folder is REPRISE_TRACES.
func trace(t testing.TB, name string) *Log {
	dir := os.Getenv("REPRISE_TRACES")
	if dir == "" {
		t.Skip("REPRISE_TRACES names no folder of real traces")
	}
	path := filepath.Join(dir, "mlcluster", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("real trace %s is not here", path)
	}
	l, err := Open(path, Options{})
	require.NoError(t, err)
	return l
}

const (
	phillyText = "timestamp,duration,num_gpus,gpu_time,cluster\n2017-10-09 07:01:55,66.0,1,66.0,11cb48\n2017-10-09 06:13:03,2951.0,8,2951.0,6214e9\n"
	openbText  = `name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time
a,1,1,1,460,,LS,Running,10,100,30
b,1,1,8,1000,,BE,Pending,20,100,
c,1,1,0,0,,BE,Failed,25,60,26
`
	heliosText = "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n" +
		"1425511,uXBbc,vcJkd,1,1,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:01,2020-06-10 04:55:09,36848,0\n"
	acmeText = "job_id,user,node_num,gpu_num,cpu_num,type,state,submit_time,start_time,end_time,duration,queue,gpu_time\n" +
		"5778432,u5907,1,8,128,Other,FAILED,2023-03-01 00:18:22+08:00,2023-03-01 00:18:54+08:00,2023-03-01 00:20:51+08:00,117,32,936.0\n"
	paiText = "j1,worker,4,Terminated,1000,1600,600,29,50,T4\nj2,worker,1,Running,1100,,600,29,200,V100\n"
	llmText = "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n"
	ownText = "submit,duration,gpus,vc,user,state,share\n2024-01-01T00:00:00+01:00,10,2,v,u,done,0.5\n2024-01-01T00:00:02+01:00,5,1,v,u,done,\n"
	swfText = "; Version: 2.2\n; UnixStartTime: 1000000000\n; TimeZoneString: Europe/Berlin\n" +
		"1 0 5 100 4 -1 -1 8 -1 -1 1 3 -1 -1 2 -1 -1 -1\n2 60 -1 10 4 -1 -1 -1 -1 -1 0 -1 -1 -1 -1 -1 -1 -1\n"
)

func read(t *testing.T, text string, o Options) *Log {
	t.Helper()
	l, err := Read(strings.NewReader(text), "log", o)
	require.NoError(t, err)
	return l
}

func TestFormats(t *testing.T) {
	nan := math.NaN()
	for format, c := range map[string]struct {
		text string
		jobs []Job
	}{
		"philly": {phillyText, []Job{{Submit: 0, Wait: nan, Duration: 2951, Residence: nan, GPUs: 8, Share: 1, VC: "6214e9"},
			{Submit: 2932, Wait: nan, Duration: 66, Residence: nan, GPUs: 1, Share: 1, VC: "11cb48"}}},
		"openb": {openbText, []Job{{Submit: 0, Wait: 20, Duration: 70, Residence: 90, GPUs: 1, Share: 0.46, State: "Running", Censored: true},
			{Submit: 10, Wait: nan, Duration: nan, Residence: 80, GPUs: 8, Share: 1, State: "Pending", Censored: true},
			{Submit: 15, Wait: 1, Duration: 34, Residence: 35, GPUs: 0, Share: 1, State: "Failed"}}},
		"helios": {heliosText, []Job{{Wait: 0, Duration: 36848, Residence: 36848, GPUs: 1, Share: 1, VC: "vcJkd", User: "uXBbc", State: "COMPLETED"}}},
		"acme":   {acmeText, []Job{{Wait: 32, Duration: 117, Residence: 149, GPUs: 8, Share: 1, User: "u5907", State: "FAILED"}}},
		"azure-llm": {llmText, []Job{{Wait: nan, Duration: nan, Residence: nan, GPUs: nan, Share: 1},
			{Submit: 0.052, Wait: nan, Duration: nan, Residence: nan, GPUs: nan, Share: 1}}},
		"csv": {ownText, []Job{{Wait: nan, Duration: 10, Residence: nan, GPUs: 2, Share: 0.5, VC: "v", User: "u", State: "done"},
			{Submit: 2, Wait: nan, Duration: 5, Residence: nan, GPUs: 1, Share: 1, VC: "v", User: "u", State: "done"}}},
		"swf": {swfText, []Job{{Wait: 5, Duration: 100, Residence: 105, GPUs: 8, Share: 1, User: "3", VC: "2", State: "COMPLETED"},
			{Submit: 60, Wait: nan, Duration: 10, Residence: nan, GPUs: 4, Share: 1, State: "FAILED"}}},
		"pai": {paiText, []Job{{Wait: 0, Duration: 600, Residence: 600, GPUs: 4, Share: 0.5, State: "Terminated"},
			{Submit: 100, Wait: 0, Duration: nan, Residence: nan, GPUs: 2, Share: 1, State: "Running", Censored: true}}},
	} {
		o := Options{}
		if format == "pai" {
			o.Format = "pai" // the table has no line of names
		}
		l := read(t, c.text, o)
		require.Equal(t, format, l.Format)
		require.Len(t, l.Jobs, len(c.jobs), format)
		for i, want := range c.jobs {
			got := l.Jobs[i]
			require.InDelta(t, want.Submit, got.Submit, 1e-6, format)
			for k, p := range [][2]float64{{want.Wait, got.Wait}, {want.Duration, got.Duration}, {want.Residence, got.Residence}, {want.GPUs, got.GPUs}, {want.Share, got.Share}} {
				require.True(t, math.IsNaN(p[0]) == math.IsNaN(p[1]) && (math.IsNaN(p[0]) || p[0] == p[1]), "%s job %d value %d: want %v, got %v", format, i, k, p[0], p[1])
			}
			require.Equal(t, []any{want.VC, want.User, want.State, want.Censored}, []any{got.VC, got.User, got.State, got.Censored}, format)
		}
	}
}

func TestZones(t *testing.T) {
	l := read(t, acmeText, Options{})
	require.True(t, l.Zoned)
	require.Equal(t, "2023-02-28 16:18:22", l.Origin.UTC().Format(time.DateTime))
	require.False(t, read(t, phillyText, Options{}).Zoned, "the clock's zone is not known")
	pacific, err := time.LoadLocation("America/Los_Angeles")
	require.NoError(t, err)
	l = read(t, phillyText, Options{Zone: pacific})
	require.True(t, l.Zoned)
	require.Equal(t, 6, l.At(0).Hour())
	require.Equal(t, 13, l.At(0).UTC().Hour())
	require.Equal(t, 3, read(t, swfText, Options{}).At(0).Hour(), "2001-09-09 01:46:40 UTC, in Berlin")
	require.True(t, read(t, openbText, Options{}).Origin.IsZero(), "seconds from an instant that is not told")
}

func TestTick(t *testing.T) {
	require.EqualValues(t, 1, read(t, phillyText, Options{}).Tick)
	require.InDelta(t, 1e-3, read(t, "submit\n0.25\n1.003\n", Options{}).Tick, 0)
	require.EqualValues(t, 60, read(t, "submit\n60\n180\n", Options{}).Tick)
}

func TestErrors(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
		o          Options
	}{
		"empty":       {" \n", "log: the log is empty", Options{}},
		"unknown":     {"a,b\n1,2\n", "log:1: the columns a, b are of no known format", Options{}},
		"number":      {"submit,duration\n1,2\n3,x\n", `log:3: duration "x": want a number`, Options{}},
		"date":        {"submit\n2017-13-01 00:00:00\n", `log:2: submit "2017-13-01 00:00:00": want seconds, or a time`, Options{}},
		"millis":      {"submit\n1700000000000\n", "log:2: submit \"1700000000000\": want a number of seconds; divide milliseconds by 1000", Options{}},
		"mixed":       {"submit\n1\n2017-01-01 00:00:00\n", "log:3: submit \"2017-01-01 00:00:00\" is a date, where other times of the log are numbers", Options{}},
		"fields":      {"submit,duration\n1\n", "log:2: 1 fields, where the first line names 2 columns", Options{}},
		"quote":       {"submit\n\"1\n", "log:2: extraneous or missing \" in quoted-field", Options{}},
		"format":      {"submit\n1\n", `there is no format "phily"`, Options{Format: "phily"}},
		"philly":      {"submit\n1\n", "log:1: format philly wants the columns timestamp", Options{Format: "philly"}},
		"column":      {"when\n1\n", `log:1: there is no column "then" for submit`, Options{Columns: map[Role]string{Submit: "then"}}},
		"no submit":   {"duration\n1\n", `log:1: no column "submit"`, Options{Format: "csv"}},
		"swf fields":  {"; Version: 2\n1 2 3\n", "log:2: 3 fields: a line of the Standard Workload Format has 18", Options{}},
		"swf number":  {strings.Replace(swfText, "2 60", "2 x", 1), `log:5: field 2 is "x": want a number`, Options{}},
		"swf start":   {"; UnixStartTime: yesterday\n", `log:1: UnixStartTime "yesterday": want seconds from 1970`, Options{}},
		"not a gzip":  {"\x1f\x8bxx", "log: ", Options{}},
		"two formats": {phillyText, "columns can be named for format csv only", Options{Format: "philly", Columns: map[Role]string{Submit: "timestamp"}}},
	} {
		_, err := Read(strings.NewReader(c.text), "log", c.o)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorAs(t, err, new(*FormatError), name)
	}
	_, err := ParseColumns([]string{"submit=a", "when=b"})
	require.ErrorContains(t, err, `columns "when=b": want ROLE=COLUMN with a role of submit, start`)
}

func TestCleaning(t *testing.T) {
	l := read(t, "submit,start,end,gpus\n10,12,11,1\n,1,2,1\n20,19,30,1\n30,30,40,-1\n40,41,50,1\n", Options{})
	require.Len(t, l.Jobs, 1)
	require.Equal(t, map[string]int{"ends before it begins": 1, "no submission": 1, "starts before it is submitted": 1, "impossible number of GPUs": 1}, l.Dropped)

	l = read(t, "when,for\n5,1\n", Options{Columns: map[Role]string{Submit: "when", Duration: "for"}})
	require.EqualValues(t, 1, l.Jobs[0].Duration)

	// Jitter keeps the mean, and takes the ties away.
	l = read(t, "submit\n"+strings.Repeat("1\n2\n3\n", 500), Options{})
	require.Equal(t, 1499, Summarise(l.Gaps()).Ties)
	g := Summarise(l.JitteredGaps(rand.New(rand.NewPCG(1, 1))))
	require.Zero(t, g.Ties)
	require.Zero(t, g.Zeros)
	require.InDelta(t, 3.0/1500, g.Mean, 0.1/1500)
	for i, x := range Jitter([]float64{0, 0.2, 1, 5}, 1, rand.New(rand.NewPCG(1, 1))) {
		require.Positive(t, x)
		require.InDelta(t, []float64{0, 0.2, 1, 5}[i], x, 0.5)
	}
}

func TestWriteAndReadAgain(t *testing.T) {
	l := read(t, swfText, Options{})
	l.Jobs[0].VC = `a, "b"`
	var b bytes.Buffer
	require.NoError(t, l.WriteCSV(&b, "made\nup"))
	again := read(t, b.String(), Options{})
	require.Equal(t, "csv", again.Format)
	require.Equal(t, `a, "b"`, again.Jobs[0].VC)
	b.Reset()
	zip := gzip.NewWriter(&b)
	require.NoError(t, l.WriteSWF(zip, "made up"))
	require.NoError(t, zip.Close())
	again = read(t, b.String(), Options{})
	require.Equal(t, l.Origin.Unix(), again.Origin.Unix())
	require.Equal(t, l.Jobs[0].Duration, again.Jobs[0].Duration)
	require.Equal(t, "1", again.Jobs[0].VC)
	require.Equal(t, "COMPLETED", again.Jobs[0].State)
}

// TestPhilly holds the characteriser to figures that were measured on the log
// by another program.
func TestPhilly(t *testing.T) {
	c := Characterise(trace(t, "philly.csv"))
	require.Equal(t, 82247, c.Jobs)
	require.InDelta(t, 13135.9, c.Durations.Mean, 0.05)
	require.EqualValues(t, 1144, c.Durations.Median)
	require.InDelta(t, 11265, c.Durations.P90, 1)
	require.InDelta(t, 254758, c.Durations.P99, 1)
	require.EqualValues(t, 4628226, c.Durations.Max)
	require.InDelta(t, 114.4, c.Gaps.Mean, 0.05)
	require.EqualValues(t, 8, c.Gaps.Median)
	require.InDelta(t, 15.1, c.Gaps.CV(), 0.05)
	require.Equal(t, 6664, c.Gaps.Zeros)
	require.InDelta(t, 1.304, c.GPUs.Mean, 0.0005)
	require.Equal(t, [7]int{10136, 12528, 13370, 15114, 16954, 7157, 6988}, c.Weekdays)
	require.Equal(t, 7159, c.Hours[7])
	require.Equal(t, 2185, c.Hours[14])
	require.Len(t, c.VCs, 15)
	require.Equal(t, []int{41226, 16091}, []int{c.VCs[0].Jobs, c.VCs[1].Jobs})
	var months, sizes []int
	for _, m := range c.Months {
		months = append(months, m.Jobs)
	}
	require.Equal(t, []int{5657, 47192, 21318, 8080}, months)
	for _, s := range c.Sizes {
		sizes = append(sizes, s.Jobs)
	}
	require.Equal(t, []int{76627, 1870, 1818, 1643, 199, 67, 14, 6, 3}[:6], sizes[:6])
}

func TestOpenb(t *testing.T) {
	l := trace(t, "openb_pod_list_default.csv")
	c := Characterise(l)
	require.Equal(t, 8152, c.Jobs)
	require.InDelta(t, 25842, c.Residences.Mean, 1, "the figure was cut off, not rounded")
	require.EqualValues(t, 540, c.Residences.Median)
	require.Equal(t, "1", c.Sizes[0].Name)
	require.Equal(t, 6989, c.Sizes[0].Jobs)
	require.Equal(t, 34, c.Censored)
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{phillyText, openbText, heliosText, acmeText, paiText, llmText, ownText, swfText, "submit,end\n1,\"2\n"} {
		f.Add([]byte(s), "")
		f.Add([]byte(s), "pai")
	}
	f.Fuzz(func(t *testing.T, data []byte, format string) {
		l, err := Read(bytes.NewReader(data), "log", Options{Format: format})
		if err != nil {
			require.ErrorAs(t, err, new(*FormatError))
			return
		}
		for i, j := range l.Jobs {
			require.False(t, math.IsNaN(j.Submit) || j.Submit < 0 || j.Duration < 0 || j.Wait < 0 || j.Residence < 0, "%+v", j)
			require.True(t, i == 0 || l.Jobs[i-1].Submit <= j.Submit)
		}
		if l.Span() < 1e7 {
			Characterise(l)
		}
		// What is written can be read, and has as many jobs.
		var b bytes.Buffer
		require.NoError(t, l.WriteCSV(&b))
		if len(l.Jobs) > 0 {
			again, err := Read(&b, "log", Options{Format: "csv"})
			require.NoError(t, err)
			require.Len(t, again.Jobs, len(l.Jobs))
		}
	})
}
