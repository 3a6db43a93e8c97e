"""Three small agents, one for each way to write them: a function, a graph, a react loop."""
