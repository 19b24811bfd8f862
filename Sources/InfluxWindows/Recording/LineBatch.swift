import RuleEngine

/// Points for one request.
struct LineBatch: Equatable, Sendable {
    /// Nil: the database's default.
    var policy: String?
    var points: Int
    /// When the points were received, the first and the last.
    var from = Instant.distantFuture
    var to = Instant.distantPast
    var lines: [UInt8]

    /// Two of half as many lines each; nil when there is only one line.
    var halves: (LineBatch, LineBatch)? {
        guard points > 1, let middle = lines[..<(lines.count / 2)].lastIndex(of: 10) ?? lines.firstIndex(of: 10), middle + 1 < lines.count
        else { return nil }
        var first = self, second = self
        first.lines = Array(lines[...middle])
        second.lines = Array(lines[(middle + 1)...])
        // A text may have a line feed in it, so this is an estimate; never less than one.
        first.points = min(max(1, first.lines.count { $0 == 10 }), points - 1)
        second.points = points - first.points
        return (first, second)
    }
}
