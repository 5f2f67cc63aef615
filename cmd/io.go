package cmd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"reprise/policies/admission"
	"reprise/policies/admission/replay"
	"reprise/traces"
)

func (a *app) ioCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "io",
		Short: "Learn from a device's log which reads it will serve slowly, and decide",
		Long: `Io holds the steps of Heimdall's pipeline (EuroSys '25) as tools of their own.

A LOG is what a device took for each request: FlashNet's and Heimdall's replay
logs, or any trace with latencies that reprise reads (csv with a latency column,
blkparse).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.ioLabelCommand(), a.ioFeaturesCommand(), a.ioTrainCommand(), a.ioEvalCommand(), a.ioReplayCommand(), a.ioInferCommand())
	return c
}

// ioLog is how the commands of io read a log.
type ioLog struct{ format, sort string }

func (o *ioLog) flags(c *cobra.Command) {
	c.Flags().StringVar(&o.format, "format", "", "format of the log (default: detect it)")
	among(c.Flags(), "format", traceFormats()...)
	c.Flags().StringVar(&o.sort, "sort", "stable", "order of requests submitted at the same time: stable, or quicksort as the published code has it")
	among(c.Flags(), "sort", "stable", "quicksort")
}

func (o *ioLog) read(path string) (*admission.Log, error) {
	order, err := admission.ParseOrder(o.sort)
	if err != nil {
		return nil, fail(ExitUsage, err)
	}
	rec, _, err := traces.ReadLatencyLog(path, traces.Options{Format: o.format})
	if err != nil {
		return nil, fail(ExitManifest, err)
	}
	l := admission.NewLog(rec, order)
	if l.Len() == 0 {
		return nil, fail(ExitManifest, fmt.Errorf("%s: no request to learn from: %d rows, %d of them moved fewer bytes than asked for", path, rec.Len(), l.Short))
	}
	return l, nil
}

// ioLabels is what io label prints of a log.
type ioLabels struct {
	Log              string  `json:"log"`
	Sort             string  `json:"sort"`
	Compat           string  `json:"compat"`
	Requests         int     `json:"n"`
	Short            int     `json:"short_transfers"`
	Latency          int64   `json:"ip_lat"`
	Percentile       float64 `json:"ip_lat_percentile"`
	Throughput       int64   `json:"ip_thpt"`
	MedianLatency    float64 `json:"med_lat"`
	MedianThroughput float64 `json:"med_thpt"`
	SlowBeforeFilter int     `json:"slow_before_filter"`
	Outlier1         int     `json:"outlier1"`
	Outlier2         int     `json:"outlier2"`
	Outlier3         int     `json:"outlier3"`
	Labeled          int     `json:"labeled"`
	Fast             int     `json:"fast"`
	Slow             int     `json:"slow"`
	CutoffFast       int     `json:"cutoff_fast"`
	CutoffSlow       int     `json:"cutoff_slow"`
}

func (a *app) ioLabelCommand() *cobra.Command {
	var o ioLog
	var compatName string
	var asJSON bool
	c := &cobra.Command{
		Use:   "label LOG...",
		Short: "Mark the slow periods of a log and filter the noise out",
		Long: `Label finds the inflection points of latency and throughput, marks slow periods,
and takes three kinds of outliers out: fast requests in slow periods, slow
requests out of them, and slow bursts of at most three. It also counts LinnOS's
labels: slower than the inflection point or not.

Latencies are microseconds, throughputs bytes per microsecond rounded half to
even. A request that moved fewer bytes than asked for is left out. With --compat
artifact or fixed the constants are the published code's. With paper the
thresholds are searched for on the log, a period ends at the first request back
at the median throughput, and outliers are judged by the medians of their period.`,
		Example: `  reprise io label device.trace
  reprise io label device.trace --sort quicksort --json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			compat, err := admission.ParseCompat(compatName)
			if err != nil {
				return fail(ExitUsage, err)
			}
			for _, path := range args {
				if c.Context().Err() != nil {
					return fail(ExitInterrupted, errInterrupted)
				}
				l, err := o.read(path)
				if err != nil {
					return err
				}
				if err := a.printLabels(labelsOf(l, path, o.sort, compat), asJSON); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.flags(c)
	c.Flags().StringVar(&compatName, "compat", "fixed", "labelling: fixed, paper or artifact")
	among(c.Flags(), "compat", compats...)
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a log")
	return c
}

func labelsOf(l *admission.Log, path, sort string, compat admission.Compat) ioLabels {
	t := l.ThresholdsFor(compat)
	labels := l.Label(t, compat)
	f := labels.Filter()
	slow := labels.CountIn(f.Rows)
	cutoff := l.LabelCutoff(l.Thresholds()).Count()
	return ioLabels{
		Log: filepath.Base(path), Sort: sort, Compat: string(compat), Requests: l.Len(), Short: l.Short,
		Latency: t.Latency, Percentile: t.LatencyPercentile, Throughput: t.Throughput,
		MedianLatency: t.MedianLatency, MedianThroughput: t.MedianThroughput,
		SlowBeforeFilter: labels.Count(), Outlier1: f.FastInSlow, Outlier2: f.SlowInFast, Outlier3: f.Bursts,
		Labeled: len(f.Rows), Fast: len(f.Rows) - slow, Slow: slow,
		CutoffFast: l.Len() - cutoff, CutoffSlow: cutoff,
	}
}

func (a *app) printLabels(r ioLabels, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.stdout).Encode(r)
	}
	_, err := fmt.Fprintf(a.stdout, `%s (%s sort, %s)
  requests                      %8d   (%d more moved too few bytes)
  inflection point, latency     %8d us  at percentile %.2f
  inflection point, throughput  %8d B/us
  median latency                %8.1f us
  median throughput             %8.1f B/us
  slow before the filter        %8d
  fast in slow periods, out     %8d
  slow in fast periods, out     %8d
  slow bursts, out              %8d
  labelled                      %8d   fast %d, slow %d
  by the cutoff alone           %8d   fast %d, slow %d
`, r.Log, r.Sort, r.Compat, r.Requests, r.Short, r.Latency, r.Percentile, r.Throughput, r.MedianLatency, r.MedianThroughput,
		r.SlowBeforeFilter, r.Outlier1, r.Outlier2, r.Outlier3, r.Labeled, r.Fast, r.Slow, r.Requests, r.CutoffFast, r.CutoffSlow)
	return err
}

// halt gives an interruption its exit code.
func halt(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return fail(ExitInterrupted, errInterrupted)
	}
	return err
}

func (a *app) ioFeaturesCommand() *cobra.Command {
	var o ioLog
	var inputs string
	var published bool
	c := &cobra.Command{
		Use:   "features LOG",
		Short: "Write the features and label of every read as CSV",
		Long: `Features writes a line for each read of a log: its row in the log ordered by
submission, its features, and 1 if it lies in a slow period. The features are
what was known when the read was submitted: only requests that had completed.

With --published they are what the published code makes of them: the reads that
the noise filter left, with the latencies of the three requests submitted
before, completed or not.`,
		Example: `  reprise io features device.trace > features.csv
  reprise io features device.trace --inputs extended
  reprise io features device.trace --published`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := o.read(args[0])
			if err != nil {
				return err
			}
			labels := l.Label(l.Thresholds(), admission.Fixed)
			var s *admission.Samples
			if published {
				if admission.Inputs(inputs) != admission.HeimdallInputs {
					return fail(ExitUsage, errors.New("--published knows the inputs heimdall only"))
				}
				s = admission.ExtractPublished(l, labels.Slow, labels.Filter().Rows, admission.Fixed)
			} else if s, err = admission.Extract(l, labels.Slow, admission.Inputs(inputs)); err != nil {
				return fail(ExitUsage, err)
			}
			w := bufio.NewWriter(a.stdout)
			fmt.Fprintf(w, "row,%s,slow\n", strings.Join(s.Names(), ","))
			for i := range s.Len() {
				if i&0xffff == 0 && c.Context().Err() != nil {
					return fail(ExitInterrupted, errInterrupted)
				}
				fmt.Fprint(w, s.Row[i])
				for _, v := range s.Ints(i) {
					fmt.Fprintf(w, ",%d", v)
				}
				slow := 0
				if s.Slow[i] {
					slow = 1
				}
				fmt.Fprintf(w, ",%d\n", slow)
			}
			return w.Flush()
		},
	}
	o.flags(c)
	c.Flags().StringVar(&inputs, "inputs", "heimdall", "set of features: heimdall, extended or linnos")
	among(c.Flags(), "inputs", texts([]admission.Inputs{admission.HeimdallInputs, admission.ExtendedInputs, admission.LinnOSInputs})...)
	c.Flags().BoolVar(&published, "published", false, "features and rows as the published code has them")
	return c
}

// replaceFile writes a file beside its place and moves it there, so that the
// place never holds half of it. What is no file, a pipe or device, is written to.
func replaceFile(path string, data []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, data, 0o644) //nolint:gosec // the user names it
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	err = errors.Join(err, f.Sync(), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func recipeNames() []string {
	var names []string
	for _, r := range admission.Recipes() {
		names = append(names, r.Name)
	}
	return names
}

// compats are the pipelines that can be named.
var compats = texts([]admission.Compat{admission.Fixed, admission.Paper, admission.Artifact})

func recipeHelp() string {
	var b strings.Builder
	for _, r := range admission.Recipes() {
		fmt.Fprintf(&b, "  %-9s %s\n", r.Name, r.Doc)
	}
	return strings.TrimRight(b.String(), "\n")
}

func (a *app) ioTrainCommand() *cobra.Command {
	var o ioLog
	var model, out string
	var seed uint64
	var group int
	var asJSON bool
	c := &cobra.Command{
		Use:   "train LOG --out MODEL",
		Short: "Train a model of a device on its log",
		Long: `Train labels the whole log, filters the noise out, and fits a model on features
of completed requests. The model's file is versioned and checksummed.

Models:
` + recipeHelp(),
		Example: `  reprise io train device.trace --out device.model
  reprise io train device.trace --model extended --out device.model
  reprise io train device.trace --group 3 --out joint.model`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			r, err := admission.RecipeNamed(model)
			if err != nil {
				return fail(ExitUsage, err)
			}
			if out == "" {
				return fail(ExitUsage, errors.New("--out names the file of the model"))
			}
			if group < 1 {
				return fail(ExitUsage, fmt.Errorf("--group %d: want 1 read or more", group))
			}
			l, err := o.read(args[0])
			if err != nil {
				return err
			}
			told := a.now()
			r.Training.EachEpoch = func(epoch int, loss, validation float64) {
				if now := a.now(); now.Sub(told) >= time.Second {
					told = now
					fmt.Fprintf(a.stderr, "epoch %d: loss %.4f, validation %.4f\n", epoch, loss, validation)
				}
			}
			start := a.now()
			m, err := replay.Teach(c.Context(), l, r, group, seed)
			if err != nil {
				return halt(c.Context(), err)
			}
			if m == nil {
				return fail(ExitManifest, fmt.Errorf("%s: all reads are of one kind, slow or fast: nothing to tell apart", args[0]))
			}
			var file bytes.Buffer
			if err := m.Save(&file); err != nil {
				return err
			}
			if err := replaceFile(out, file.Bytes()); err != nil {
				return fail(ExitInfrastructure, err)
			}
			weights, biases := 0, 0
			if m.Network != nil {
				weights, biases = m.Network.Size()
			}
			result := struct {
				Model      string  `json:"model"`
				Out        string  `json:"out"`
				Group      int     `json:"group"`
				Features   int     `json:"features"`
				Weights    int     `json:"weights"`
				Biases     int     `json:"biases"`
				Epochs     int     `json:"epochs"`
				Loss       float64 `json:"loss"`
				Validation float64 `json:"validation"`
				Seconds    float64 `json:"seconds"`
			}{r.Name, out, m.Group, m.Width, weights, biases, m.Trained.Epochs, m.Trained.Loss, m.Trained.Validation, a.now().Sub(start).Seconds()}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(result)
			}
			_, err = fmt.Fprintf(a.stdout, "%s: %d features, %d weights, %d biases; %d epochs in %.1f s, loss %.4f, validation %.4f\n",
				out, m.Width, weights, biases, m.Trained.Epochs, result.Seconds, m.Trained.Loss, m.Trained.Validation)
			return err
		},
	}
	o.flags(c)
	f := c.Flags()
	f.StringVar(&model, "model", "heimdall", "model: "+strings.Join(recipeNames(), ", "))
	among(f, "model", recipeNames()...)
	f.StringVarP(&out, "out", "o", "", "file to write the model to")
	f.Uint64Var(&seed, "seed", 1, "seed of first weights and batches")
	f.IntVar(&group, "group", 1, "reads that one decision is for (joint inference, causal)")
	f.BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}

func (a *app) ioEvalCommand() *cobra.Command {
	var o ioLog
	var models, compatName string
	var seed uint64
	var asJSON bool
	c := &cobra.Command{
		Use:   "eval LOG...",
		Short: "Train models on half of each log and judge them on the other, as published and honestly",
		Long: `Eval trains each model on the first half of a log in time and lets it decide the
second. Four figures stand side by side, from how the paper counts to what a
deployed model would reach:

  published   test reads that the noise filter left; features that tell the
              latencies of requests still in flight
  unfiltered  the same model, all reads of the second half
  causal      features of completed requests only, filtered test reads
  honest      features of completed requests only, all reads

Balanced accuracy is what the published code calls ROC-AUC: it computes that of
hard decisions. ROC-AUC here is of the scores. LinnOS is published against its
own labels. With --compat artifact the published figures are of a random split
and the artifact's settings.

Models:
` + recipeHelp(),
		Example: `  reprise io eval device.trace
  reprise io eval a.trace b.trace --model heimdall,extended --json
  reprise io eval device.trace --compat artifact --sort quicksort`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			compat, err := admission.ParseCompat(compatName)
			if err != nil {
				return fail(ExitUsage, err)
			}
			var recipes []admission.Recipe
			for _, name := range strings.Split(models, ",") {
				if name == "all" {
					recipes = append(recipes, admission.Recipes()...)
					continue
				}
				r, err := admission.RecipeNamed(name)
				if err != nil {
					return fail(ExitUsage, err)
				}
				recipes = append(recipes, r)
			}
			return a.ioEval(c.Context(), o, args, recipes, compat, seed, asJSON)
		},
	}
	o.flags(c)
	f := c.Flags()
	f.StringVar(&models, "model", "all", "comma list of models: all, "+strings.Join(recipeNames(), ", "))
	among(f, "model", append(recipeNames(), "all")...).several()
	f.StringVar(&compatName, "compat", "fixed", "pipeline of the published figures: fixed, paper or artifact")
	among(f, "compat", compats...)
	f.Uint64Var(&seed, "seed", 1, "seed of splits, first weights and batches")
	f.BoolVar(&asJSON, "json", false, "print one JSON object a log and model")
	return c
}

func (a *app) ioEval(ctx context.Context, o ioLog, paths []string, recipes []admission.Recipe, compat admission.Compat, seed uint64, asJSON bool) error {
	enc := json.NewEncoder(a.stdout)
	var doing atomic.Value
	doing.Store("reading")
	stop := a.progress(func() string { return doing.Load().(string) })
	defer stop()
	sums := make([][4][]admission.Metrics, len(recipes))
	if !asJSON {
		fmt.Fprintf(a.stdout, "%-10s  %-35s  %-35s\n%-10s  %8s %8s %8s %8s  %8s %8s %8s %8s  log\n", "", "balanced accuracy", "ROC-AUC of scores",
			"model", "publ.", "unfilt.", "causal", "honest", "publ.", "unfilt.", "causal", "honest")
	}
	line := func(name, log string, v [4]admission.Metrics) {
		fmt.Fprintf(a.stdout, "%-10s  %8.3f %8.3f %8.3f %8.3f  %8.3f %8.3f %8.3f %8.3f  %s\n", name,
			v[0].BalancedAccuracy, v[1].BalancedAccuracy, v[2].BalancedAccuracy, v[3].BalancedAccuracy,
			v[0].ROCAUC, v[1].ROCAUC, v[2].ROCAUC, v[3].ROCAUC, log)
	}
	for _, path := range paths {
		l, err := o.read(path)
		if err != nil {
			return err
		}
		for k, r := range recipes {
			doing.Store(filepath.Base(path) + ": " + r.Name)
			e, _, err := admission.Evaluate(ctx, l, r, compat, seed)
			if err != nil {
				if ctx.Err() != nil {
					return halt(ctx, err)
				}
				return fail(ExitManifest, fmt.Errorf("%s: %w", path, err))
			}
			views := [4]admission.Metrics{e.Published, e.Unfiltered, e.Causal, e.Honest}
			for i, m := range views {
				sums[k][i] = append(sums[k][i], m)
			}
			if asJSON {
				if err := enc.Encode(struct {
					Log string `json:"log"`
					admission.Evaluation
				}{filepath.Base(path), e}); err != nil {
					return err
				}
				continue
			}
			line(r.Name, filepath.Base(path), views)
		}
	}
	if len(paths) > 1 && !asJSON {
		for k, r := range recipes {
			var views [4]admission.Metrics
			for i := range views {
				views[i] = admission.Mean(sums[k][i])
			}
			line(r.Name, fmt.Sprintf("mean of %d", len(paths)), views)
		}
	}
	return nil
}

func (a *app) ioInferCommand() *cobra.Command {
	var o ioLog
	var precision string
	var asJSON bool
	c := &cobra.Command{
		Use:   "infer MODEL LOG",
		Short: "Let a trained model decide every read of a log, and time it",
		Long: `Infer lets a model decide each read of a log with what was known when it was
submitted, says how often it was right about slow periods, and how long a
decision takes.

Precisions: float32; x1000, the published code's integers; x1024, the paper's;
int16, with vector instructions where the processor has them.`,
		Example: `  reprise io infer device.model other.trace
  reprise io infer device.model other.trace --precision x1000 --json`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return fail(ExitManifest, err)
			}
			defer f.Close()
			m, err := admission.LoadModel(f)
			if err != nil {
				return fail(ExitManifest, fmt.Errorf("%s: %w", args[0], err))
			}
			if m.Width != m.Inputs.Width() {
				return fail(ExitManifest, fmt.Errorf("%s: it decides on sizes of reads that have not arrived", args[0]))
			}
			d, err := m.Decider(admission.Precision(precision))
			if err != nil {
				return fail(ExitUsage, err)
			}
			l, err := o.read(args[1])
			if err != nil {
				return err
			}
			s, err := admission.Extract(l, l.Label(l.Thresholds(), admission.Fixed).Slow, m.Inputs)
			if err != nil {
				return err
			}
			scores := make([]float32, s.Len())
			x := make([][]int32, s.Len())
			for i := range x {
				x[i] = s.Ints(i)
			}
			start := a.now()
			for i := 0; i < len(x); i += m.Group {
				v := float32(-1)
				if d.Slow(x[i]) {
					v = 1
				}
				for k := i; k < min(i+m.Group, len(x)); k++ {
					scores[k] = v
				}
			}
			took := a.now().Sub(start)
			metrics := admission.Measure(scores, s.Slow)
			result := struct {
				Model            string  `json:"model"`
				Log              string  `json:"log"`
				Precision        string  `json:"precision"`
				Group            int     `json:"group"`
				Reads            int     `json:"reads"`
				Slow             int     `json:"decided_slow"`
				Accuracy         float64 `json:"accuracy"`
				BalancedAccuracy float64 `json:"balanced_accuracy"`
				FPR              float64 `json:"fpr"`
				FNR              float64 `json:"fnr"`
				NanosPerRead     float64 `json:"ns_per_read"`
			}{m.Recipe, filepath.Base(args[1]), precision, m.Group, s.Len(), metrics.TP + metrics.FP, metrics.Accuracy,
				metrics.BalancedAccuracy, metrics.FalsePositive, metrics.FalseNegative, float64(took.Nanoseconds()) / float64(max(1, s.Len()))}
			if asJSON {
				return json.NewEncoder(a.stdout).Encode(result)
			}
			_, err = fmt.Fprintf(a.stdout, "%s on %s in %s: %d reads, %d decided slow; accuracy %.3f, balanced %.3f, FPR %.3f, FNR %.3f; %.0f ns a read\n",
				m.Recipe, result.Log, precision, result.Reads, result.Slow, result.Accuracy, result.BalancedAccuracy, result.FPR, result.FNR, result.NanosPerRead)
			return err
		},
	}
	o.flags(c)
	c.Flags().StringVar(&precision, "precision", "int16", "arithmetic: float32, x1000, x1024 or int16")
	among(c.Flags(), "precision", texts(admission.Precisions())...)
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON object")
	return c
}
