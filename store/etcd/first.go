package etcd

import (
	"fmt"
	"os"
	"path/filepath"

	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

// removeCutOff removes a member whose first start was cut off between the making
// of its log and the first entry in it. etcd would take it for one that was made,
// and wait for ever to hear of a member that could lead. Nothing was ever
// committed there.
func removeCutOff(dir string) error {
	member := filepath.Join(dir, "member")
	if snapshots, err := filepath.Glob(filepath.Join(member, "snap", "*.snap")); err != nil || len(snapshots) > 0 {
		return err
	}
	logs := filepath.Join(member, "wal")
	if !wal.Exist(logs) {
		return nil // etcd begins anew by itself
	}
	w, err := wal.OpenForRead(zap.NewNop(), logs, &walpb.Snapshot{})
	if err != nil {
		return nil // etcd says better what is wrong
	}
	// It closes what it has read to the end.
	_, state, entries, err := w.ReadAll()
	if err != nil {
		w.Close()
		return nil
	}
	if len(entries) > 0 || state.GetCommit() > 0 {
		return nil
	}
	if err := os.RemoveAll(member); err != nil {
		return fmt.Errorf("remove what a first start that was cut off left: %w", err)
	}
	return nil
}
