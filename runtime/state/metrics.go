package state

// Metrics is the condition of the local tree.
type Metrics struct {
	Files          int64 // of the tree now
	Bytes          int64 // compressed, on disk
	MemTableBytes  int64 // written, not flushed yet
	CacheBytes     int64 // of uncompressed blocks
	CacheHits      int64 // blocks, since the state was opened or put back
	CacheMisses    int64
	ReadLevels     int   // how many files one key may be looked for in
	CompactionDebt int64 // estimated bytes that compactions have still to rewrite
	Working        int64 // flushes and compactions that run now
	FlushedBytes   int64 // since the state was opened or put back
	CompactedBytes int64 // likewise
}

// Metrics reports the tree's condition; zero while it is not open.
func (s *Store) Metrics() Metrics {
	e, _, err := s.use()
	if err != nil {
		return Metrics{}
	}
	defer s.release()
	m := e.db.Metrics()
	total := m.Total()
	return Metrics{
		Files:          total.TablesCount,
		Bytes:          total.TablesSize,
		MemTableBytes:  int64(m.MemTable.Size),
		CacheBytes:     m.BlockCache.Size,
		CacheHits:      m.BlockCache.Hits,
		CacheMisses:    m.BlockCache.Misses,
		ReadLevels:     m.ReadAmp(),
		CompactionDebt: int64(m.Compact.EstimatedDebt),
		Working:        m.Compact.NumInProgress + m.Flush.NumInProgress,
		FlushedBytes:   int64(total.TableBytesFlushed),
		CompactedBytes: int64(total.TableBytesCompacted),
	}
}
