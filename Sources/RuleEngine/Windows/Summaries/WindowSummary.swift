/// What is kept of consecutive samples instead of them. Summaries of neighbouring stretches of time merge, and nothing is ever taken out of one: a window that moves
/// leaves whole summaries behind, so that no outlier outlives its place in the window.
///
/// A summary is determined by the samples and the order of its calls to `push` and `merge`, to the last bit.
protocol WindowSummary: Sendable, BitwiseCopyable {
    init()
    var count: Int { get }
    /// Adds a sample newer than all before.
    mutating func push(_ sample: Sample)
    /// Adds what comes after.
    mutating func merge(_ newer: Self)
    func write(to snapshot: inout SnapshotWriter)
    init?(from snapshot: inout SnapshotReader)
}

extension WindowSummary {
    init(_ history: borrowing SampleHistory, _ range: Range<Int>) {
        self.init()
        history.visit(range) { push($0) }
    }
}
