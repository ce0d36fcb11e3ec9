package daemon

import (
	"testing"
	"testing/fstest"
)

func TestTheMemoryLimitIsAShareOfWhatIsGranted(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	machine := file("MemFree: 1 kB\nMemTotal:       10000000 kB\n")
	for name, c := range map[string]struct {
		given  int64
		system fstest.MapFS
		want   int64
	}{
		"given":                {given: 5, system: fstest.MapFS{"proc/meminfo": machine}, want: 5},
		"not known":            {system: fstest.MapFS{}, want: 0},
		"of the machine":       {system: fstest.MapFS{"proc/meminfo": machine}, want: 6_144_000_000},
		"of no group":          {system: fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("max\n")}, want: 6_144_000_000},
		"of a container":       {system: fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("0::/\n"), "sys/fs/cgroup/memory.max": file("2000000000\n")}, want: 1_200_000_000},
		"of a group above":     {system: fstest.MapFS{"proc/self/cgroup": file("0::/a/b\n"), "sys/fs/cgroup/a/memory.max": file("1000\n"), "sys/fs/cgroup/a/b/memory.max": file("max\n")}, want: 600},
		"of version 1":         {system: fstest.MapFS{"proc/self/cgroup": file("4:cpu,memory:/x\n"), "sys/fs/cgroup/memory/x/memory.limit_in_bytes": file("1000\n")}, want: 600},
		"unlimited, version 1": {system: fstest.MapFS{"proc/meminfo": machine, "proc/self/cgroup": file("4:memory:/\n"), "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, want: 6_144_000_000},
	} {
		if got := memoryLimit(c.given, c.system); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}
