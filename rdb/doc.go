// Package rdb reads and writes values as DUMP serialises them: Redis' own
// format, so that RESTORE there takes what DUMP here gives, and the other way
// round. It knows lists and streams, in every form that Redis has written them
// in, and no keys, clients or storage. Start at value.go for reading and at
// dump.go for writing.
//
// # The format
//
//	type(1)  payload  version(2)  CRC64(8)
//
//	length    00xxxxxx | 01xxxxxx x | 10000000 x×4 | 10000001 x×8, big-endian
//	string    length bytes | 110000nn integer of 1, 2 or 4 bytes, little-endian
//	          | 11000011 length length bytes: compressed with LZF
//
//	list, type 18    number of nodes; each: 2, a string that is a listpack of
//	                 elements, or 1, a string that is one element
//	list, type 14    number of nodes; each a string that is a ziplist
//	list, type 10    a string that is a ziplist
//	list, type 1     number of elements; each a string
//
//	stream           number of macro nodes; each: its first ID (a string of 16
//	                 bytes) and a string that is a listpack of entries
//	                 length, last ID
//	      from 19    first ID, highest deleted ID, entries ever added
//	                 number of groups; each: name, last ID
//	      from 19      entries read
//	                   number of pending entries; each: ID, time, deliveries
//	                   number of consumers; each: name, seen
//	      from 21        active
//	                     number of its pending entries; each: ID
//
// A payload comes from whoever can talk to the server. All sizes in it are
// checked against what is left of it before anything is allocated, what it
// stands for is counted against costMax (a few bytes may unpack to gigabytes),
// and no more than one node of it is in memory unpacked.
package rdb
