@main
struct WindowsBenchmark {
    static func main() {}
}
