//go:build amd64 || arm64

package index

// prefetch has the memory that is so many bytes after p fetched into the
// cache, two lines of it, and does not wait. It reads nothing, wherever that is.
//
//go:noescape
func prefetch(p *int64, offset uintptr)
