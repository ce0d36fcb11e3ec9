// Package fastjson writes JSON documents to vectors in a single pass, by a plan
// compiled from the columns, and gives up on anything unusual.
//
// Reader.Read answers true or false. True: the document is valid JSON (RFC 8259)
// in valid UTF-8, skipped values included, and the present row of every column
// of the plan is what the exact reader of package decode would have written.
// False: nothing of the row is left, and the exact reader decides what becomes
// of the document. So this package knows no messages: every broken document and
// every rare one is the exact reader's.
//
// What makes it fast: the next member's name is guessed from the documents
// before and compared as 8-byte words; strings are checked and copied 8 bytes at
// a time; whole numbers are read 8 digits at a time; no value is kept between
// the document and its column.
package fastjson
