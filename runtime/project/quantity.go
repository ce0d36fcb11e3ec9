package project

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"time"
)

const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$`
	sizePattern     = `^[0-9]+(\.[0-9]+)? ?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$`

	aDuration = "a duration such as 500ms, 30s, 5m, 24h or 30d"
	aSize     = "a size such as 64KB, 512MB or 10MiB"
)

var (
	durationText = regexp.MustCompile(durationPattern)
	durationPart = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)`)
	sizeText     = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)$`)
	sizeShape    = regexp.MustCompile(sizePattern)
)

var durationUnits = map[string]time.Duration{
	"ms": time.Millisecond, "s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour,
}

// Decimal units are powers of 1000, binary ones (KiB) of 1024, by IEC 80000-13.
var sizeUnits = map[string]int64{
	"B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
}

// parseDuration reads a duration in Go's form, with d for 24 hours and without
// signs, µs and ns.
func parseDuration(text string) (time.Duration, error) {
	if !durationText.MatchString(text) {
		return 0, fmt.Errorf("%q is no duration, expected %s", text, aDuration)
	}
	total := new(big.Rat)
	for _, part := range durationPart.FindAllStringSubmatch(text, -1) {
		amount, ok := new(big.Rat).SetString(part[1])
		if !ok {
			return 0, fmt.Errorf("%q is no duration, expected %s", text, aDuration)
		}
		total.Add(total, amount.Mul(amount, new(big.Rat).SetInt64(int64(durationUnits[part[2]]))))
	}
	n, err := whole(total)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: %w", text, err)
	}
	return time.Duration(n), nil
}

// parseSize reads a size in bytes.
func parseSize(text string) (int64, error) {
	if !sizeShape.MatchString(text) {
		return 0, fmt.Errorf("%q is no size, expected %s", text, aSize)
	}
	part := sizeText.FindStringSubmatch(text)
	amount, ok := new(big.Rat).SetString(part[1])
	if !ok {
		return 0, fmt.Errorf("%q is no size, expected %s", text, aSize)
	}
	n, err := whole(amount.Mul(amount, new(big.Rat).SetInt64(sizeUnits[part[2]])))
	if err != nil {
		return 0, fmt.Errorf("%q is no size: %w", text, err)
	}
	return n, nil
}

// whole rounds down to an int64.
func whole(r *big.Rat) (int64, error) {
	n := new(big.Int).Quo(r.Num(), r.Denom())
	if n.Cmp(big.NewInt(math.MaxInt64)) > 0 {
		return 0, errors.New("it is too large")
	}
	return n.Int64(), nil
}
