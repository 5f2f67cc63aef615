package admission

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// A model file is a line with the format's version and the SHA-256 of the rest,
// and the model in JSON.
const (
	modelMagic   = "reprise-admission-model"
	modelVersion = 1
	modelLimit   = 64 << 20 // bytes; a joint 512-512-1 network takes 4 MiB
)

type storedModel struct {
	Recipe    string        `json:"recipe"`
	Inputs    Inputs        `json:"inputs"`
	Group     int           `json:"group"`
	Width     int           `json:"width"`
	Threshold float32       `json:"threshold"`
	Scaler    *Scaler       `json:"scaler,omitempty"`
	Layers    []storedLayer `json:"layers,omitempty"`
	Trees     *Trees        `json:"trees,omitempty"`
	Trained   Trained       `json:"trained"`
}

type storedLayer struct {
	In      int       `json:"in"`
	Out     int       `json:"out"`
	Weights []float32 `json:"weights"` // input by input
	Biases  []float32 `json:"biases"`
}

// Save writes the model to a file that Load reads back to the same bits.
func (m *Model) Save(w io.Writer) error {
	s := storedModel{m.Recipe, m.Inputs, m.Group, m.Width, m.Threshold, m.Scaler, nil, m.Trees, m.Trained}
	if m.Network != nil {
		for _, l := range m.Network.Layers {
			q := storedLayer{In: l.In, Out: l.Out, Biases: l.B[:l.Out]}
			for in := range l.In {
				q.Weights = append(q.Weights, l.W[in*l.Stride:in*l.Stride+l.Out]...)
			}
			s.Layers = append(s.Layers, q)
		}
	}
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("model %s: %w", m.Recipe, err)
	}
	_, err = fmt.Fprintf(w, "%s %d sha256:%x\n%s\n", modelMagic, modelVersion, sha256.Sum256(body), body)
	return err
}

// LoadModel reads a model file. It refuses one that is damaged, of another
// version, or whose parts do not fit together.
func LoadModel(r io.Reader) (*Model, error) {
	in := bufio.NewReader(io.LimitReader(r, modelLimit+1))
	head, err := in.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("model file: %w", err)
	}
	var version int
	var sum string
	if n, _ := fmt.Sscanf(head, modelMagic+" %d sha256:%64s\n", &version, &sum); n != 2 {
		return nil, fmt.Errorf("not a model file: it does not start with %q", modelMagic)
	}
	if version != modelVersion {
		return nil, fmt.Errorf("model file of version %d: this program reads version %d", version, modelVersion)
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return nil, fmt.Errorf("model file: %w", err)
	}
	if len(head)+len(body) > modelLimit {
		return nil, fmt.Errorf("model file: larger than %d bytes", modelLimit)
	}
	body = bytes.TrimSuffix(body, []byte("\n"))
	if got := sha256.Sum256(body); hex.EncodeToString(got[:]) != sum {
		return nil, fmt.Errorf("model file is damaged: its SHA-256 is %x, not %s: train the model again", got, sum)
	}
	var s storedModel
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("model file: %w", err)
	}
	m := &Model{Recipe: s.Recipe, Inputs: s.Inputs, Group: s.Group, Width: s.Width, Threshold: s.Threshold, Scaler: s.Scaler, Trees: s.Trees, Trained: s.Trained}
	for _, q := range s.Layers {
		if q.In < 1 || q.Out < 1 || q.In > modelLimit || q.Out > modelLimit || len(q.Weights) != q.In*q.Out || len(q.Biases) != q.Out {
			return nil, fmt.Errorf("model file: a layer of %d inputs and %d outputs with %d weights and %d biases", q.In, q.Out, len(q.Weights), len(q.Biases))
		}
		l := newLayer(q.In, q.Out)
		for in := range q.In {
			copy(l.W[in*l.Stride:], q.Weights[in*q.Out:(in+1)*q.Out])
		}
		copy(l.B, q.Biases)
		if m.Network == nil {
			m.Network = &Network{}
		}
		m.Network.Layers = append(m.Network.Layers, l)
	}
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("model file: %w", err)
	}
	return m, nil
}

func (m *Model) validate() error {
	base := m.Inputs.Width()
	switch {
	case base == 0:
		return fmt.Errorf("unknown inputs %q", m.Inputs)
	case m.Group < 1 || m.Width != base && m.Width != base+m.Group-1:
		return fmt.Errorf("%d features for groups of %d reads, want %d or %d", m.Width, m.Group, base, base+m.Group-1)
	case (m.Network == nil) == (m.Trees == nil):
		return errors.New("want either a network or trees")
	case m.Trees != nil:
		return m.Trees.validate(m.Width)
	case m.Scaler == nil || len(m.Scaler.Low) != m.Width || len(m.Scaler.Gain) != m.Width:
		return fmt.Errorf("want a scaler of %d features", m.Width)
	}
	switch m.Scaler.Kind {
	case NoScaling, MinMax, ZScore, Logarithm:
	default:
		return fmt.Errorf("unknown scaling %q", m.Scaler.Kind)
	}
	in := m.Width
	for i, l := range m.Network.Layers {
		if l.In != in {
			return fmt.Errorf("layer %d takes %d inputs of the %d there are", i+1, l.In, in)
		}
		in = l.Out
	}
	if in > 2 {
		return fmt.Errorf("%d outputs, want 1 or 2", in)
	}
	return nil
}

func (t *Trees) validate(width int) error {
	if len(t.Roots) == 0 {
		return errors.New("no trees")
	}
	for _, r := range t.Roots {
		if int(r) >= len(t.Nodes) || r < 0 {
			return fmt.Errorf("root %d of %d nodes", r, len(t.Nodes))
		}
	}
	for i, n := range t.Nodes {
		// Children come after their parent, so that every walk ends.
		if n.Feature >= 0 && (int(n.Feature) >= width || int(n.Left) <= i || int(n.Left) >= len(t.Nodes)-1) {
			return fmt.Errorf("node %d splits feature %d into nodes %d and %d, of %d features and %d nodes", i, n.Feature, n.Left, int64(n.Left)+1, width, len(t.Nodes))
		}
		if math.IsNaN(float64(n.Value)) {
			return fmt.Errorf("node %d has no value", i)
		}
	}
	return nil
}
