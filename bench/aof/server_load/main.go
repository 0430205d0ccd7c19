// Many clients that each store a value over a connection of its own and wait for the answer, again and again: on etcd
// (Put), or on a server of Redis' protocol (RPUSH). One program loads all of them, so that all pay for the same client.
//
// usage: server_load etcd|redis ADDRESS CLIENTS SECONDS VALUE_BYTES
package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "server_load:", err)
		os.Exit(1)
	}
}

// etcdStore answers a function that stores the value under a key of this client.
func etcdStore(address string, number int, value []byte) func() {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{address}, DialTimeout: 5 * time.Second})
	check(err)
	key, text := fmt.Sprintf("client-%d", number), string(value)
	return func() {
		_, err := client.Put(context.Background(), key, text)
		check(err)
	}
}

// redisStore answers a function that appends the value to a list of this client.
func redisStore(address string, number int, value []byte) func() {
	connection, err := net.Dial("tcp", address)
	check(err)
	key := fmt.Sprintf("client-%d", number)
	request := []byte(fmt.Sprintf("*3\r\n$5\r\nRPUSH\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(key), key, len(value), value))
	answers := bufio.NewReader(connection)
	return func() {
		_, err := connection.Write(request)
		check(err)
		line, err := answers.ReadString('\n')
		check(err)
		if line[0] != ':' {
			check(fmt.Errorf("answer %q", line))
		}
	}
}

func main() {
	if len(os.Args) != 6 {
		check(fmt.Errorf("usage: server_load etcd|redis ADDRESS CLIENTS SECONDS VALUE_BYTES"))
	}
	clients, err := strconv.Atoi(os.Args[3])
	check(err)
	seconds, err := strconv.ParseFloat(os.Args[4], 64)
	check(err)
	size, err := strconv.Atoi(os.Args[5])
	check(err)
	connect := etcdStore
	if os.Args[1] == "redis" {
		connect = redisStore
	}
	stores := make([]func(), clients)
	for number := range stores {
		value := make([]byte, size)
		for i := range value {
			value[i] = byte('a' + rand.Intn(26))
		}
		stores[number] = connect(os.Args[2], number, value)
	}
	start := time.Now()
	end := start.Add(time.Duration(seconds * float64(time.Second)))
	latencies := make([][]time.Duration, clients)
	var waiting sync.WaitGroup
	for number := range stores {
		waiting.Add(1)
		go func() {
			defer waiting.Done()
			for now := time.Now(); now.Before(end); {
				stores[number]()
				after := time.Now()
				latencies[number] = append(latencies[number], after.Sub(now))
				now = after
			}
		}()
	}
	waiting.Wait()
	elapsed := time.Since(start).Seconds()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	at := func(share float64) int64 { return all[min(len(all)-1, int(share*float64(len(all))))].Microseconds() }
	fmt.Printf("ops_per_s=%.0f p50_us=%d p99_us=%d p999_us=%d max_us=%d\n", float64(len(all))/elapsed, at(0.5),
		at(0.99), at(0.999), at(1))
}
