package telemetry

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ReadSuperCloud reads a file of the MIT SuperCloud workload classification
// challenge (arXiv 2204.05839): a NumPy .npz with X (trials × samples × 7
// sensors) and the classes y, or X_train, X_test and the like; model, if it is
// there, names the classes. Each trial becomes a series with the labels class,
// model and part (train or test; absent in a file that is not split), its
// samples an interval apart.
func ReadSuperCloud(r io.ReaderAt, size int64, name string, o Options) ([]Series, error) {
	fail := func(format string, args ...any) ([]Series, error) {
		return nil, &FormatError{Name: name, Msg: fmt.Sprintf(format, args...)}
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return fail("%v", err)
	}
	arrays := map[string]*zip.File{}
	for _, f := range z.File {
		arrays[strings.TrimSuffix(f.Name, ".npy")] = f
	}
	var all []Series
	for _, part := range []string{"", "train", "test"} {
		suffix := ""
		if part != "" {
			suffix = "_" + part
		}
		if arrays["X"+suffix] == nil {
			continue
		}
		x, err := readNPY(arrays["X"+suffix])
		if err != nil {
			return fail("X%s: %v", suffix, err)
		}
		if len(x.shape) != 3 || x.shape[1] == 0 || x.shape[2] != int(Challenge) || x.texts != nil {
			return fail("X%s has the shape %v; want numbers, trials × samples × %d sensors", suffix, x.shape, int(Challenge))
		}
		labels := map[string]*npy{}
		for _, l := range []string{"y", "model"} {
			f := arrays[l+suffix]
			if f == nil {
				continue
			}
			a, err := readNPY(f)
			if err != nil {
				return fail("%s%s: %v", l, suffix, err)
			}
			if a.count() != x.shape[0] {
				return fail("%s%s has %d values for %d trials", l, suffix, a.count(), x.shape[0])
			}
			labels[l] = a
		}
		if len(labels) == 0 {
			return fail("no y%s and no model%s: the trials have no class", suffix, suffix)
		}
		for i := range x.shape[0] {
			s := Series{Labels: Labels{"run": fmt.Sprintf("trial%s-%d", suffix, i)}}
			if part != "" {
				s.Labels["part"] = part
			}
			if a := labels["y"]; a != nil {
				s.Labels["class"] = clean(a.text(i))
			}
			if a := labels["model"]; a != nil {
				s.Labels["model"] = clean(a.text(i))
			}
			for t := range x.shape[1] {
				sample := missing()
				sample.Time = float64(t) * o.interval()
				copy(sample.Values[:Challenge], x.numbers[(i*x.shape[1]+t)*int(Challenge):])
				s.Samples = append(s.Samples, sample)
			}
			all = append(all, s)
		}
	}
	if all == nil {
		return fail("no array X, X_train or X_test")
	}
	return all, nil
}

// clean makes a text a label's value.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if strings.ContainsRune(";,=\"\r\n\t ", r) {
			return '_'
		}
		return r
	}, s)
	if s == "" {
		return "_"
	}
	return s
}

// npy is a NumPy array.
type npy struct {
	shape   []int
	numbers []float64
	texts   []string
}

func (a *npy) count() int {
	if len(a.shape) != 1 {
		return -1
	}
	return a.shape[0]
}

func (a *npy) text(i int) string {
	if a.texts != nil {
		return a.texts[i]
	}
	return strconv.FormatFloat(a.numbers[i], 'f', -1, 64)
}

var (
	npyDescr = regexp.MustCompile(`'descr':\s*'([<>|=]?)([fiuUb])(\d+)'`)
	npyOrder = regexp.MustCompile(`'fortran_order':\s*(True|False)`)
	npyShape = regexp.MustCompile(`'shape':\s*\(([^)]*)\)`)
)

// npyLimit is how many bytes of an array are read: the challenge's largest has
// about a hundred million.
const npyLimit = 2 << 30

func readNPY(f *zip.File) (*npy, error) {
	if f.UncompressedSize64 > npyLimit {
		return nil, fmt.Errorf("%d bytes: over the limit of %d", f.UncompressedSize64, int64(npyLimit))
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, npyLimit))
	if err != nil {
		return nil, err
	}
	return parseNPY(data)
}

func parseNPY(data []byte) (*npy, error) {
	if len(data) < 12 || string(data[:6]) != "\x93NUMPY" {
		return nil, errors.New("no NumPy array")
	}
	length, at := int(binary.LittleEndian.Uint16(data[8:])), 10
	if data[6] > 1 {
		length, at = int(binary.LittleEndian.Uint32(data[8:])), 12
	}
	if length < 0 || length > len(data)-at {
		return nil, errors.New("the array's header is cut off")
	}
	header, body := string(data[at:at+length]), data[at+length:]
	descr, order, shape := npyDescr.FindStringSubmatch(header), npyOrder.FindStringSubmatch(header), npyShape.FindStringSubmatch(header)
	switch {
	case strings.Contains(header, "'|O'") || strings.Contains(header, "'O'"):
		return nil, errors.New("an array of Python objects, which only Python can read: save numbers or texts")
	case descr == nil || order == nil || shape == nil:
		return nil, fmt.Errorf("header %.80q: want numbers or texts", header)
	case order[1] == "True":
		return nil, errors.New("the array is in Fortran's order; save it in C's")
	case descr[1] == ">":
		return nil, errors.New("the array is big-endian")
	}
	a := &npy{}
	n := 1
	for part := range strings.SplitSeq(shape[1], ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		d, err := strconv.Atoi(part)
		if err != nil || d < 0 {
			return nil, fmt.Errorf("shape (%s)", shape[1])
		}
		a.shape = append(a.shape, d)
		if d > 0 && n > npyLimit/d {
			return nil, fmt.Errorf("shape (%s) is over the limit", shape[1])
		}
		n *= d
	}
	width, err := strconv.Atoi(descr[3])
	if err != nil || width < 1 || width > 4096 {
		return nil, fmt.Errorf("values of %s bytes", descr[3])
	}
	bytesEach := width
	if descr[2] == "U" {
		bytesEach = 4 * width
	}
	if n > len(body)/bytesEach {
		return nil, fmt.Errorf("cut off: %d bytes for the shape (%s) of %d each", len(body), shape[1], bytesEach)
	}
	read, ok := npyNumber[descr[2]+descr[3]]
	if descr[2] != "U" && !ok {
		return nil, fmt.Errorf("values of type %s%s", descr[2], descr[3])
	}
	for i := range n {
		b := body[i*bytesEach : (i+1)*bytesEach]
		if descr[2] == "U" {
			a.texts = append(a.texts, utf32(b))
			continue
		}
		a.numbers = append(a.numbers, read(b))
	}
	return a, nil
}

var npyNumber = map[string]func([]byte) float64{
	"f4": func(b []byte) float64 { return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) },
	"f8": func(b []byte) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b)) },
	"i1": func(b []byte) float64 { return float64(int8(b[0])) },
	"u1": func(b []byte) float64 { return float64(b[0]) },
	"b1": func(b []byte) float64 { return float64(b[0]) },
	"i2": func(b []byte) float64 { return float64(int16(binary.LittleEndian.Uint16(b))) },
	"u2": func(b []byte) float64 { return float64(binary.LittleEndian.Uint16(b)) },
	"i4": func(b []byte) float64 { return float64(int32(binary.LittleEndian.Uint32(b))) },
	"u4": func(b []byte) float64 { return float64(binary.LittleEndian.Uint32(b)) },
	"i8": func(b []byte) float64 { return float64(int64(binary.LittleEndian.Uint64(b))) },
	"u8": func(b []byte) float64 { return float64(binary.LittleEndian.Uint64(b)) },
}

func utf32(b []byte) string {
	var text bytes.Buffer
	for ; len(b) >= 4; b = b[4:] {
		r := rune(binary.LittleEndian.Uint32(b))
		if r == 0 {
			break
		}
		if !utf8.ValidRune(r) {
			r = utf8.RuneError
		}
		text.WriteRune(r)
	}
	return text.String()
}
