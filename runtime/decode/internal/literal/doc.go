// Package literal reads what text says: numbers of JSON, dates and times of RFC
// 3339, exactly or not at all.
package literal
