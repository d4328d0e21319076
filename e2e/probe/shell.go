package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// shell asks for lines, and does what they say, until one says exit:
//
//	echo TEXT   print it
//	size        print the size of the controlling terminal, rows and columns
//	id          as the step
//	hold        wait for SIGINT, and say so
//	lines N     as the step
//	exit N      exit with code N
//
// At the end of its input it exits with code 3, and at SIGHUP as the kernel will.
func shell(term chan os.Signal) error {
	signal.Reset(syscall.SIGTERM, syscall.SIGINT)
	for in := bufio.NewReader(os.Stdin); ; {
		fmt.Print("probe> ")
		line, err := in.ReadString('\n')
		if err == io.EOF {
			os.Exit(3)
		}
		if err != nil {
			return err
		}
		verb, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch verb {
		case "":
		case "echo":
			fmt.Println("said " + value)
		case "size":
			tty, err := os.Open("/dev/tty")
			if err != nil {
				return err
			}
			size, err := unix.IoctlGetWinsize(int(tty.Fd()), unix.TIOCGWINSZ)
			if err != nil {
				return err
			}
			fmt.Printf("size %d %d\n", size.Row, size.Col)
			tty.Close()
		case "hold":
			held := make(chan os.Signal, 1)
			signal.Notify(held, syscall.SIGINT)
			fmt.Println("holding")
			fmt.Printf("got %v\n", <-held)
			signal.Reset(syscall.SIGINT)
		case "exit":
			code, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			os.Exit(code)
		default:
			if err := do(verb, value, term); err != nil {
				fmt.Println(err)
			}
		}
	}
}
