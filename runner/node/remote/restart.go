package remote

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"reprise/runner/device"
	"reprise/runner/node"
)

// Devices lists this machine's disks.
func (h *Host) Devices(_ Nothing, list *[]device.Device) (err error) {
	*list, err = device.This()
	return err
}

// Devices implements node.Inventory.
func (n *Node) Devices(ctx context.Context) ([]device.Device, error) {
	return call[[]device.Device](ctx, n, "Devices", Nothing{}, nil)
}

// Boot gives what tells one start of this machine's kernel from the next.
func (h *Host) Boot(_ Nothing, id *string) (err error) {
	*id, err = boot()
	return err
}

func boot() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// restartScript leaves the answer time to travel.
const restartScript = `sleep 1; if [ "$(id -u)" = 0 ]; then exec reboot; else exec sudo -n reboot; fi`

// Restart has this machine restarted soon after it has answered.
func (h *Host) Restart(_ Nothing, _ *Nothing) error {
	if os.Getuid() != 0 {
		if out, err := exec.Command("sudo", "-n", "true").CombinedOutput(); err != nil {
			return fmt.Errorf("restarting takes root, and sudo gives it not without a password: %s", strings.TrimSpace(string(out)))
		}
	}
	c := exec.Command("sh", "-c", restartScript)
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := c.Start(); err != nil {
		return err
	}
	go func() { _ = c.Wait() }()
	return nil
}

// restartPause is between two tries to reach a machine that is restarting.
const restartPause = 500 * time.Millisecond

// Restart implements node.Restarter. The machine is known to have restarted by
// its kernel's boot id, not by a connection that broke.
func (n *Node) Restart(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%s has not come back within %v", n.name, limit))
	defer cancel()
	before, err := call[string](ctx, n, "Boot", Nothing{}, nil)
	if err != nil {
		return err
	}
	if _, err := call[Nothing](ctx, n, "Restart", Nothing{}, nil); err != nil {
		return err
	}
	for {
		now, err := n.boot(ctx)
		switch {
		case err == nil && now != before:
			return n.renew(ctx)
		case errors.As(err, &permanent{}):
			return fmt.Errorf("%s after its restart: %w", n.name, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(restartPause):
		}
	}
}

// boot asks once for the boot id. A machine that goes down may leave its
// connection hanging.
func (n *Node) boot(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	client, err := n.connection(ctx)
	if err != nil {
		return "", err
	}
	var id string
	pending := client.Go("Host.Boot", Nothing{}, &id, nil)
	select {
	case <-pending.Done:
		if pending.Error != nil {
			n.lost(client)
		}
		return id, pending.Error
	case <-ctx.Done():
		n.lost(client)
		return "", ctx.Err()
	}
}

// renew takes in what may be otherwise after a restart.
func (n *Node) renew(ctx context.Context) error {
	m, err := call[node.Machine](ctx, n, "Describe", Nothing{}, nil)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.machine = m
	clear(n.files)
	return nil
}
