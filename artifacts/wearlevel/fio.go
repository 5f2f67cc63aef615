package wearlevel

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"reprise/artifacts"
	"reprise/checks"
	"reprise/emulator"
	"reprise/emulator/nbd"
)

func init() {
	artifacts.Register(artifacts.Builtin{
		Name: "wearlevel.fio", Version: 2,
		Doc: "fio against an emulated SSD served over NBD, verifying what it wrote",
		Params: []artifacts.Param{
			{Name: "rw", Doc: "fio's rw: randwrite, randrw, …"},
			{Name: "depth", Doc: "requests in flight", Default: 16},
			{Name: "mib", Doc: "MiB to write", Default: 512},
		},
		Run: fio,
	})
}

// fio observes iops, verify_errors and the waf of the device afterwards.
func fio(ctx context.Context, env *artifacts.Env) (err error) {
	program, err := exec.LookPath("fio")
	if err != nil {
		return errors.New("fio is not installed: apt-get install fio")
	}
	cfg, err := emulator.Preset("small")
	if err != nil {
		return err
	}
	cfg.BlocksPerPlane /= 4
	d, err := emulator.New(cfg)
	if err != nil {
		return err
	}
	e := nbd.NewExport("ssd", d, nbd.NewMemory(int64(d.Pages())*int64(d.Config().PageSize())))
	folder, err := os.MkdirTemp("", "fio") // a socket's name must be short
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	socket := filepath.Join(folder, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- (&nbd.Server{Exports: []*nbd.Export{e}, Now: time.Now}).Serve(serving, l) }()
	defer func() { stop(); err = errors.Join(err, <-served) }()

	run := func(extra ...string) (jobs fioOutput, err error) {
		args := append([]string{"--output-format=json", "--output=fio.json", "--name=ssd", "--ioengine=nbd", "--uri=nbd+unix:///ssd?socket=" + socket,
			"--rw=" + env.Params["rw"].(string), "--bs=4k", fmt.Sprintf("--iodepth=%d", env.Params["depth"]),
			"--size=192m", fmt.Sprintf("--io_size=%dm", env.Params["mib"])}, extra...)
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = env.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return jobs, fmt.Errorf("fio: %w: %.500s", err, out)
		}
		out, err := os.ReadFile(filepath.Join(env.Dir, "fio.json"))
		if err != nil {
			return jobs, err
		}
		// Remarks may stand before the object.
		out = out[max(0, bytes.IndexByte(out, '{')):]
		if err := json.Unmarshal(out, &jobs); err != nil {
			return jobs, fmt.Errorf("fio.json: %w", err)
		}
		if len(jobs.Jobs) != 1 {
			return jobs, fmt.Errorf("fio.json reports %d jobs", len(jobs.Jobs))
		}
		return jobs, nil
	}
	env.Progress(0, 2, "fio")
	speed, err := run("--norandommap=1")
	if err != nil {
		return err
	}
	env.Progress(1, 2, "fio with verification")
	verified, err := run("--verify=crc32c", "--verify_fatal=1")
	if err != nil {
		return err
	}
	if err := e.Device((*emulator.Device).Check); err != nil {
		return err
	}
	return errors.Join(
		env.Observe(checks.Observation{Metric: "iops", Value: speed.Jobs[0].Read.IOPS + speed.Jobs[0].Write.IOPS, Unit: "1/s"}),
		env.Observe(checks.Observation{Metric: "verify_errors", Value: float64(verified.Jobs[0].Error), Unit: "1"}),
		env.Observe(checks.Observation{Metric: "waf", Value: e.Stat().Device.WAF, Unit: "1"}),
	)
}

type fioOutput struct {
	Jobs []struct {
		Error       int `json:"error"`
		Read, Write struct {
			IOPS float64 `json:"iops"`
		}
	} `json:"jobs"`
}
