package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"reprise/emulator"
	"reprise/emulator/nbd"
)

func (a *app) ssdServeCommand() *cobra.Command {
	var preset, geometry, data, metrics string
	var listen, exports []string
	var paced, remote bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve emulated SSDs as network block devices",
		Long: `Serve makes emulated SSDs into disks that any NBD client can use: fio, qemu,
nbdfuse, nbd-client. Each --export NAME[=PRESET] is a device of its own.

With --paced a reply leaves when the device would have answered; how late
replies really leave is counted. Without, replies leave at once, and the
device's latencies are only counted.

Data is kept in memory, in sparse files in a folder (file:FOLDER, one NAME.img
an export, beside NAME.ssd with the state of the device), or not at all (none:
reads are zeros). Clients that ask which ranges have data (nbdinfo --map, nbdcopy,
qemu-img) are told by what is kept: in memory in pieces of 256 KiB, in files as
fine as the file system knows. A unix socket is only for its owner's user; TCP listens on
loopback addresses only, since NBD knows no passwords, unless --allow-remote.`,
		Example: `  reprise ssd serve --preset small --listen unix:/tmp/ssd.sock
  fio --name=t --ioengine=nbd --uri='nbd+unix:///ssd?socket=/tmp/ssd.sock' --rw=randwrite --size=64m

  reprise ssd serve --export a=small --export b=default --data file:disks --metrics 127.0.0.1:9090 --listen tcp:127.0.0.1:10809
  reprise ssd stat 127.0.0.1:9090
  nbdinfo --map nbd://127.0.0.1/a`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(exports) == 0 {
				exports = []string{"ssd"}
			}
			server := &nbd.Server{Paced: paced, Now: a.now, Log: func(err error) { fmt.Fprintf(a.stderr, "reprise: %v\n", err) }}
			var states []string
			for _, x := range exports {
				name, p, named := strings.Cut(x, "=")
				if !named {
					p = preset
				}
				e, state, err := openExport(name, p, geometry, data)
				if err != nil {
					return err
				}
				defer e.Close()
				server.Exports, states = append(server.Exports, e), append(states, state)
			}
			var listeners []net.Listener
			defer func() {
				for _, l := range listeners {
					l.Close()
				}
			}()
			for _, address := range listen {
				l, err := listenOn(address, remote)
				if err != nil {
					return err
				}
				listeners = append(listeners, l)
			}
			if metrics != "" {
				l, err := listenOn("tcp:"+metrics, remote)
				if err != nil {
					return err
				}
				web := &http.Server{Handler: server.Handler(), ReadHeaderTimeout: 10 * time.Second}
				go func() { _ = web.Serve(l) }() // ends with Close
				defer web.Close()
				fmt.Fprintf(a.stderr, "counters on http://%s/stat and /metrics\n", l.Addr())
			}
			for _, l := range listeners {
				fmt.Fprintf(a.stderr, "serving on %s:%s\n", l.Addr().Network(), l.Addr())
			}
			err := server.Serve(c.Context(), listeners...)
			if err != nil {
				err = fail(ExitInfrastructure, err)
			}
			for i, e := range server.Exports {
				if states[i] == "" {
					continue
				}
				if serr := e.Device(func(d *emulator.Device) error { return saveDevice(d, states[i]) }); serr != nil {
					err = errors.Join(err, fail(ExitInfrastructure, serr))
				}
			}
			return err
		},
	}
	c.Flags().StringVar(&preset, "preset", "small", "device: "+strings.Join(presetNames(), ", "))
	among(c.Flags(), "preset", presetNames()...)
	c.Flags().StringVar(&geometry, "geometry", "", "YAML `file` that changes the preset's properties")
	c.Flags().StringArrayVar(&exports, "export", nil, "`NAME[=PRESET]` of a device; once for each (default ssd)")
	c.Flags().StringArrayVar(&listen, "listen", nil, "`unix:PATH` or tcp:HOST:PORT; once for each")
	c.Flags().StringVar(&data, "data", "memory", "where the data is kept: memory, none or file:`FOLDER`")
	c.Flags().BoolVar(&paced, "paced", false, "answer when the device would, not at once")
	c.Flags().StringVar(&metrics, "metrics", "", "serve counters over HTTP on this `address`")
	c.Flags().BoolVar(&remote, "allow-remote", false, "let TCP listen on addresses other machines can reach")
	if err := c.MarkFlagRequired("listen"); err != nil {
		panic(err)
	}
	return c
}

func presetNames() []string {
	var names []string
	for _, p := range emulator.Presets {
		names = append(names, p.Name)
	}
	return names
}

// openExport makes the device of an export and opens its data; state is the
// file its state is kept in, if it is.
func openExport(name, preset, geometry, data string) (e *nbd.Export, state string, err error) {
	if name == "" || strings.ContainsAny(name, "/\x00") || len(name) > 255 {
		return nil, "", fail(ExitUsage, fmt.Errorf("%q cannot name an export", name))
	}
	cfg, err := nativeConfig(preset, geometry)
	if err != nil {
		return nil, "", err
	}
	ssd, err := emulator.New(cfg)
	if err != nil {
		return nil, "", fail(ExitManifest, fmt.Errorf("export %s: %w", name, err))
	}
	cfg = ssd.Config()
	size := int64(ssd.Pages()) * int64(cfg.PageSize())
	switch folder, isFile := strings.CutPrefix(data, "file:"); {
	case data == "memory":
		return nbd.NewExport(name, ssd, nbd.NewMemory(size)), "", nil
	case data == "none":
		return nbd.NewExport(name, ssd, nbd.NewNothing()), "", nil
	case !isFile || folder == "":
		return nil, "", fail(ExitUsage, fmt.Errorf("--data is %q; it is memory, none or file:FOLDER", data))
	default:
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, "", fail(ExitInfrastructure, err)
		}
		state = filepath.Join(folder, name+".ssd")
		if _, err := os.Stat(state); err == nil {
			if ssd, err = loadDevice(state, "remove the file to begin with a new device over the same data"); err != nil {
				return nil, "", err
			}
			if ssd.Config() != cfg {
				return nil, "", fail(ExitManifest, fmt.Errorf("%s is of a device with other properties", state), "give the preset and geometry it was made with, or another folder")
			}
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, "", fail(ExitInfrastructure, err)
		}
		store, err := nbd.OpenFile(filepath.Join(folder, name+".img"), size)
		if err != nil {
			return nil, "", fail(ExitInfrastructure, err)
		}
		return nbd.NewExport(name, ssd, store), state, nil
	}
}

// listenOn opens unix:PATH or tcp:HOST:PORT.
func listenOn(address string, remote bool) (net.Listener, error) {
	network, where, _ := strings.Cut(address, ":")
	switch network {
	case "unix":
		// A socket that nobody answers is left from a server that died.
		if info, err := os.Lstat(where); err == nil && info.Mode()&os.ModeSocket != 0 {
			if c, err := net.DialTimeout("unix", where, time.Second); err == nil {
				c.Close()
				return nil, fail(ExitInfrastructure, fmt.Errorf("another server listens on %s", where))
			}
			if err := os.Remove(where); err != nil {
				return nil, fail(ExitInfrastructure, err)
			}
		}
		l, err := net.Listen("unix", where)
		if err != nil {
			return nil, fail(ExitInfrastructure, err)
		}
		if err := os.Chmod(where, 0o600); err != nil {
			return nil, fail(ExitInfrastructure, errors.Join(err, l.Close()))
		}
		return l, nil
	case "tcp":
		host, port, err := net.SplitHostPort(where)
		if err != nil {
			return nil, fail(ExitUsage, err)
		}
		if host == "" {
			host = "127.0.0.1"
		}
		ip := net.ParseIP(host)
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) && !remote {
			return nil, fail(ExitUsage, fmt.Errorf("%s can be reached from other machines, and NBD knows no passwords", host), "listen on 127.0.0.1, or say --allow-remote")
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, fail(ExitInfrastructure, err)
		}
		return l, nil
	}
	return nil, fail(ExitUsage, fmt.Errorf("cannot listen on %q; give unix:PATH or tcp:HOST:PORT", address))
}

func (a *app) ssdStatCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "stat ADDRESS",
		Short:   "Print the counters of a running server as JSON",
		Example: `  reprise ssd stat 127.0.0.1:9090`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+args[0]+"/stat", nil)
			if err != nil {
				return fail(ExitUsage, err)
			}
			r, err := http.DefaultClient.Do(req)
			if err != nil {
				return fail(ExitInfrastructure, err, "is the server running, with --metrics "+args[0]+"?")
			}
			defer r.Body.Close()
			body, err := io.ReadAll(io.LimitReader(r.Body, 16<<20))
			if err != nil {
				return fail(ExitInfrastructure, err)
			}
			if r.StatusCode != http.StatusOK || !json.Valid(body) {
				return fail(ExitInfrastructure, fmt.Errorf("%s does not answer as an SSD server: %s", args[0], r.Status))
			}
			_, err = a.stdout.Write(body)
			return err
		},
	}
}
