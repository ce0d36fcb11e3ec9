// Package dimension makes the rows of dimensions: members with stable keys,
// versioned by slowly changing columns of types 0, 1 and 2 (Kimball), whatever
// order their changes come in.
package dimension
