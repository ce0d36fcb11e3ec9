package state

import "github.com/cockroachdb/pebble/v2/vfs"

// unsynced is a file system on which nothing waits for the disk. What a crash
// of the machine leaves of the folder is compared with checksums at the next
// start, so a file that is not whole is only downloaded again.
type unsynced struct{ vfs.FS }

// Create makes a file.
func (u unsynced) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return unsync(u.FS.Create(name, category))
}

// OpenReadWrite opens a file.
func (u unsynced) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return unsync(u.FS.OpenReadWrite(name, category, opts...))
}

// OpenDir opens a folder.
func (u unsynced) OpenDir(name string) (vfs.File, error) { return unsync(u.FS.OpenDir(name)) }

// ReuseForWrite renames a file and opens it.
func (u unsynced) ReuseForWrite(former, name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return unsync(u.FS.ReuseForWrite(former, name, category))
}

// Unwrap returns the file system below.
func (u unsynced) Unwrap() vfs.FS { return u.FS }

func unsync(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

type unsyncedFile struct{ vfs.File }

// Sync does nothing.
func (unsyncedFile) Sync() error { return nil }

// SyncData does nothing.
func (unsyncedFile) SyncData() error { return nil }

// SyncTo does nothing.
func (unsyncedFile) SyncTo(int64) (fullSync bool, err error) { return false, nil }
