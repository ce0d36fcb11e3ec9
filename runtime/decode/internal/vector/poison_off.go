//go:build !poison

package vector

const poison = false
