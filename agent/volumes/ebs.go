package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/berth/berth/internal/loopfs"
	"github.com/berth/berth/internal/wholefile"
)

// EBS is an EBS volume: a file system of its own in a file.
type EBS struct {
	ID   string // vol-…
	Size int64  // bytes
	// Kind is empty where the user leaves it to the host.
	Kind loopfs.Kind
	// Keep it when the task has ended.
	Keep bool
}

// use is the file system of a volume: XFS is ECS's default, and where the host
// can't make it, ext4 is as good for who didn't ask.
func (e EBS) use() loopfs.Use {
	use := loopfs.Use{Kind: e.Kind}
	if use.Kind == "" {
		if use.Kind = loopfs.XFS; use.Available() != nil {
			use.Kind = loopfs.Ext4
		}
	}
	return use
}

// provideEBS makes and mounts a volume. It has its record before its file, and
// its file has its name when it is whole.
func (v *Volumes) provideEBS(ctx context.Context, own string, e EBS) (string, error) {
	data, image := filepath.Join(own, dataDir), filepath.Join(own, imageFile)
	if err := os.MkdirAll(data, 0o755); err != nil {
		return "", err
	}
	var have EBS
	found, err := wholefile.ReadJSON(filepath.Join(own, recordFile), &have)
	if err != nil {
		return "", fmt.Errorf("read the record of EBS volume %s: %w", e.ID, err)
	}
	if !found {
		have, have.Kind = e, e.use().Kind
		if err := wholefile.WriteJSON(filepath.Join(own, recordFile), have); err != nil {
			return "", err
		}
	}
	if mounted, err := isMounted(data); err != nil || mounted {
		return data, err
	}
	if _, err := os.Stat(image); errors.Is(err, os.ErrNotExist) {
		if err := have.use().Make(ctx, image+".new", have.Size); err != nil {
			return "", fmt.Errorf("make EBS volume %s: %w", have.ID, err)
		}
		if err := os.Rename(image+".new", image); err != nil {
			return "", err
		}
	}
	if err := have.use().Mount(image, data); err != nil {
		return "", fmt.Errorf("attach EBS volume %s: %w", have.ID, err)
	}
	return data, nil
}

// keepEBS puts the file of a volume aside that is to be kept.
func (v *Volumes) keepEBS(own string) error {
	var have EBS
	found, err := wholefile.ReadJSON(filepath.Join(own, recordFile), &have)
	if err != nil || !found || !have.Keep {
		return err
	}
	if err := checkName("EBS volume", have.ID); err != nil {
		return err
	}
	to := filepath.Join(v.dir, keptDir, have.ID)
	err = os.Rename(filepath.Join(own, imageFile), to)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it was put there before, or never made
	}
	if err == nil {
		v.log.Info("kept an EBS volume that its task leaves", "volume", have.ID, "file", to)
	}
	return err
}
