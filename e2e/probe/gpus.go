package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// gpus prints NVIDIA_VISIBLE_DEVICES, and each of NVIDIA's device files with its
// numbers once it has been opened.
func gpus() error {
	visible, ok := os.LookupEnv("NVIDIA_VISIBLE_DEVICES")
	if !ok {
		visible = "unset"
	}
	line := visible
	files, err := filepath.Glob("/dev/nvidia*")
	if err != nil {
		return err
	}
	for _, file := range files {
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			return err
		}
		f.Close()
		line += fmt.Sprintf(" %s=%d:%d", filepath.Base(file), unix.Major(st.Rdev), unix.Minor(st.Rdev))
	}
	fmt.Println(line)
	return nil
}
