/// The one of `names` that a person most likely meant: at most two edits away, most letters the same, and closer than any other.
public func nearestName(to name: String, in names: some Sequence<String>) -> String? {
    var best: (name: String, distance: Int)?
    for candidate in names {
        let distance = editDistance(name, candidate)
        guard distance <= 2, distance * 2 <= max(name.count, candidate.count) else { continue }
        if best.map({ distance < $0.distance || distance == $0.distance && candidate < $0.name }) ?? true { best = (candidate, distance) }
    }
    return best?.name
}

/// Optimal string alignment distance: insertions, deletions, replacements and swaps of neighbours.
func editDistance(_ left: String, _ right: String) -> Int {
    let a = Array(left.unicodeScalars.prefix(64)), b = Array(right.unicodeScalars.prefix(64))
    guard !a.isEmpty else { return b.count }
    guard !b.isEmpty else { return a.count }
    var twoBack = [Int](repeating: 0, count: b.count + 1)
    var oneBack = Array(0...b.count)
    for i in 1...a.count {
        var row = [i] + [Int](repeating: 0, count: b.count)
        for j in 1...b.count {
            row[j] = min(oneBack[j] + 1, row[j - 1] + 1, oneBack[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { row[j] = min(row[j], twoBack[j - 2] + 1) }
        }
        (twoBack, oneBack) = (oneBack, row)
    }
    return oneBack[b.count]
}
