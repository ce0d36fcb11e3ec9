//go:build unix

package storage_test

import (
	"os/exec"
	"syscall"
)

func asNobody(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
}
