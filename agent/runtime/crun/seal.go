package crun

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// sealed returns a copy of crun in memory that nothing can change. crun looks
// whether it is one, and otherwise makes one and runs that each time it is
// called, so that no container can write to the host's program through
// /proc/self/exe. Having one saves it a second start. The copy goes with the file.
func sealed(program string) (*os.File, error) {
	from, err := os.Open(program)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	fd, err := unix.MemfdCreate("crun", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("copy %s into memory: %w", program, err)
	}
	to := os.NewFile(uintptr(fd), "crun")
	_, err = io.Copy(to, from)
	if err == nil {
		_, err = unix.FcntlInt(to.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE|unix.F_SEAL_SEAL)
	}
	if err == nil {
		// A host may forbid to run what is in memory only (vm.memfd_noexec).
		err = unix.Access(ofSelf(to), unix.X_OK)
	}
	if err != nil {
		to.Close()
		return nil, fmt.Errorf("copy %s into memory: %w", program, err)
	}
	return to, nil
}

// ofSelf is the path by which other processes open a file of this one.
func ofSelf(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
