@main struct NodeSphere { static func main() {} }
