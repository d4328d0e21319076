// Bench measures Berth beside its peers, in one run on one host, and prints
// ratios: absolute times of a busy or virtual machine say little.
//
//	make bench
//	go run ./bench -launches 50 -only launch,stop
//
// Peers are those that are installed and answer: `docker run -d`, `ctr run -d`,
// and bare `crun run`. Each runs the same static program from the same image.
// It needs root, starts an installation of its own in a temporary directory and
// takes it down again. Loops are bounded by count.
package main
