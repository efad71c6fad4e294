package main

import "context"

func measureLatency(context.Context, *lab) error    { return nil }
func measureMemory(context.Context, *lab) error     { return nil }
func measureHotAccount(context.Context, *lab) error { return nil }
func measureRedis(context.Context, *lab) error      { return nil }
func measurePods(context.Context, *lab) error       { return nil }
func measureFlat(context.Context, *lab) error       { return nil }
