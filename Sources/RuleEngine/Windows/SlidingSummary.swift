/// The summary of a window that slides over a history, O(1) amortised a sample whatever its length, without ever subtracting.
///
/// The window's samples are cut into blocks of 64. Complete blocks are two stacks: `front` holds the summaries of everything from each of the older blocks up to
/// `boundary`, `back` one summary of those after it; when the front is used up the back is turned into it. The oldest block, which the window leaves sample by
/// sample, has `marks`, summaries from every fourth sample to its end. What the block structure says and the samples determine every summary to the last bit, so a
/// snapshot holds only the structure.
///
/// A block whose samples the history has lost is a **pane**: it leaves as a whole, when its newest sample does.
struct SlidingSummary<Summary: WindowSummary>: Sendable {
    struct Block: Sendable, BitwiseCopyable {
        var count: Int32
        /// The instant of the newest sample.
        var lastAt: Instant
        var summary: Summary
    }

    private(set) var blocks: ContiguousArray<Block> = []
    /// The block the window is leaving.
    private(set) var head = 0
    /// How many samples of it have left.
    private(set) var skipped = 0
    private(set) var boundary = 0
    /// Summaries of `blocks[k..<boundary]`, the one for k = head + 1 last.
    private var front: ContiguousArray<Summary> = []
    private var back = Summary()
    /// Front and back together.
    private var middle = Summary()
    private(set) var tail = Summary()
    /// Mark k is the summary of the head from its sample 4k on; empty until the head is left in part.
    private var marks: ContiguousArray<Summary> = []

    private static var blockLength: Int { 64 }
    private static var markDistance: Int { 4 }

    /// Cuts the samples of a range, of which there have to be 64 or more.
    init(_ history: borrowing SampleHistory, _ range: Range<Int>) {
        var from = range.lowerBound
        while from + Self.blockLength <= range.upperBound {
            blocks.append(Self.block(history, from..<from + Self.blockLength))
            from += Self.blockLength
        }
        tail = Summary(history, from..<range.upperBound)
        refreshStacks()
    }

    private static func block(_ history: borrowing SampleHistory, _ range: Range<Int>) -> Block {
        Block(count: Int32(range.count), lastAt: history[range.upperBound - 1].at, summary: Summary(history, range))
    }

    /// Whether no complete block is left: then the samples themselves are few enough.
    var isExhausted: Bool { head >= blocks.count }

    private var headCount: Int { Int(blocks[head].count) }

    // MARK: moving

    mutating func append(_ sample: Sample) {
        tail.push(sample)
        guard tail.count >= Self.blockLength else { return }
        blocks.append(Block(count: Int32(tail.count), lastAt: sample.at, summary: tail))
        back.merge(tail)
        tail = Summary()
        refreshMiddle()
    }

    /// Lets the oldest samples go, those from `start` on; stops at the end of the last block.
    mutating func evict(_ count: Int, _ history: borrowing SampleHistory, start: Int) {
        var left = count
        var start = start
        while left > 0, !isExhausted {
            let rest = headCount - skipped
            if left >= rest {
                left -= rest
                start += rest
                leaveHead()
            } else {
                if marks.isEmpty { makeMarks(history, blockStart: start - skipped, from: skipped + left) }
                skipped += left
                left = 0
            }
        }
    }

    /// The oldest block, while it has to leave as a whole.
    var oldestBlock: (count: Int, lastAt: Instant)? { isExhausted ? nil : (headCount, blocks[head].lastAt) }

    mutating func leaveHead() {
        head += 1
        skipped = 0
        marks.removeAll(keepingCapacity: true)
        if isExhausted { return }
        if boundary > head { front.removeLast() } else { turn() }
        refreshMiddle()
        if head >= 16, head * 2 >= blocks.count {
            blocks.removeFirst(head)
            boundary -= head
            head = 0
        }
    }

    private mutating func makeMarks(_ history: borrowing SampleHistory, blockStart: Int, from: Int) {
        let needed = (from + Self.markDistance - 1) / Self.markDistance
        let number = (headCount + Self.markDistance - 1) / Self.markDistance
        marks = ContiguousArray(repeating: Summary(), count: number)
        var later = Summary()
        for mark in stride(from: number - 1, through: needed, by: -1) {
            let first = mark * Self.markDistance
            var summary = Summary(history, blockStart + first..<blockStart + min(first + Self.markDistance, headCount))
            summary.merge(later)
            marks[mark] = summary
            later = summary
        }
    }

    private mutating func turn() {
        boundary = blocks.count
        front.removeAll(keepingCapacity: true)
        var later = Summary()
        for index in stride(from: boundary - 1, to: head, by: -1) {
            var summary = blocks[index].summary
            summary.merge(later)
            front.append(summary)
            later = summary
        }
        back = Summary()
    }

    private mutating func refreshMiddle() {
        middle = front.last ?? Summary()
        middle.merge(back)
    }

    private mutating func refreshStacks() {
        turn()
        refreshMiddle()
    }

    /// The summary of the window, whose oldest sample has the index `start`. Inlined, or all of it is copied out of its array for the call.
    @inline(__always)
    func summary(_ history: borrowing SampleHistory, start: Int) -> Summary {
        var result: Summary
        if skipped == 0 {
            result = blocks[head].summary
        } else {
            let mark = (skipped + Self.markDistance - 1) / Self.markDistance
            let marked = min(mark * Self.markDistance, headCount)
            result = Summary()
            for index in start..<start + marked - skipped { result.push(history[index]) }
            if mark < marks.count { result.merge(marks[mark]) }
        }
        result.merge(middle)
        result.merge(tail)
        return result
    }

    // MARK: late samples and panes

    /// Takes in that the sample at an index was inserted or replaced; `start` and `end` are the window's, after it.
    mutating func changed(at index: Int, inserted: Bool, _ history: borrowing SampleHistory, start: Int, end: Int) {
        let tailStart = end - tail.count - (inserted ? 1 : 0)
        guard index < tailStart else { return rebuildTail(history, from: tailStart, to: end) }
        var blockStart = start
        for block in head..<blocks.count {
            let live = Int(blocks[block].count) - (block == head ? skipped : 0)
            if index < blockStart + live {
                if block == head { forgetSkipped() }
                replace(block, history, blockStart..<blockStart + live + (inserted ? 1 : 0))
                return refreshStacks()
            }
            blockStart += live
        }
    }

    private mutating func rebuildTail(_ history: borrowing SampleHistory, from: Int, to end: Int) {
        tail = Summary()
        for index in from..<end { append(history[index]) }
    }

    private mutating func forgetSkipped() {
        skipped = 0
        marks.removeAll(keepingCapacity: true)
    }

    private mutating func replace(_ block: Int, _ history: borrowing SampleHistory, _ range: Range<Int>) {
        if range.count > Self.blockLength * 2 {
            let middle = range.lowerBound + range.count / 2
            blocks[block] = Self.block(history, range.lowerBound..<middle)
            blocks.insert(Self.block(history, middle..<range.upperBound), at: block + 1)
        } else {
            blocks[block] = Self.block(history, range)
        }
    }

    /// Prepares for the loss of the samples before `end`: they become panes, of which there are at most 1,024, none with more than a 256th of all that are in panes or
    /// 128. `start` is the index of the window's oldest sample, negative when there are panes already.
    mutating func makePanes(before end: Int, _ history: borrowing SampleHistory, start: Int, windowEnd: Int) {
        if skipped > 0 {
            let live = headCount - skipped
            forgetSkipped()
            blocks[head] = Self.block(history, start..<start + live)
        }
        var blockStart = start
        var block = head
        while block < blocks.count, blockStart + Int(blocks[block].count) <= end {
            blockStart += Int(blocks[block].count)
            block += 1
        }
        if blockStart < end {
            let blockEnd = block < blocks.count ? blockStart + Int(blocks[block].count) : windowEnd
            let older = Self.block(history, blockStart..<end)
            if block < blocks.count {
                blocks[block] = older
                blocks.insert(Self.block(history, end..<blockEnd), at: block + 1)
            } else {
                blocks.append(older)
                tail = Summary(history, end..<windowEnd)
            }
            block += 1
        }
        if block - head > 1024 { joinPanes(upTo: block) }
        refreshStacks()
    }

    private mutating func joinPanes(upTo end: Int) {
        let total = blocks[head..<end].reduce(0) { $0 + Int($1.count) }
        let limit = max(128, total / 256)
        var joined: ContiguousArray<Block> = []
        for block in blocks[head..<end] {
            if let last = joined.last, Int(last.count) + Int(block.count) <= limit {
                joined[joined.count - 1].count += block.count
                joined[joined.count - 1].lastAt = block.lastAt
                joined[joined.count - 1].summary.merge(block.summary)
            } else {
                joined.append(block)
            }
        }
        blocks = joined + blocks[end...]
        head = 0
    }
}

// MARK: snapshots

extension SlidingSummary {
    /// The structure, and the summaries of panes, whose samples are gone.
    func write(to snapshot: inout SnapshotWriter, start: Int) {
        snapshot.write(blocks.count - head)
        snapshot.write(boundary - head)
        snapshot.write(skipped)
        snapshot.write(tail.count)
        var blockStart = start - skipped
        for block in blocks[head...] {
            snapshot.write(Int(block.count))
            if blockStart < 0, start < 0 {
                snapshot.write(block.lastAt)
                block.summary.write(to: &snapshot)
            }
            blockStart += Int(block.count)
        }
    }

    /// Nil when the structure does not fit the window `start..<end`.
    init?(from snapshot: inout SnapshotReader, _ history: borrowing SampleHistory, start: Int, end: Int) {
        guard let number = snapshot.readCount(), number > 0, number <= snapshot.remaining / 8, let boundary = snapshot.readCount(),
            (1...number).contains(boundary), let skipped = snapshot.readCount(), let tailCount = snapshot.readCount()
        else { return nil }
        var blockStart = start - skipped
        for index in 0..<number {
            guard let count = snapshot.readCount(), count > 0, count < Int(Int32.max) else { return nil }
            let blockEnd = blockStart + count
            guard blockEnd <= end else { return nil }
            if blockStart < 0, start < 0 {
                guard skipped == 0, blockEnd <= 0, let lastAt = snapshot.readInstant(), let summary = Summary(from: &snapshot),
                    summary.count == count
                else { return nil }
                blocks.append(Block(count: Int32(count), lastAt: lastAt, summary: summary))
            } else {
                guard index > 0 || skipped < count else { return nil }
                var block = Self.block(history, max(blockStart, start)..<blockEnd)
                block.count = Int32(count)
                blocks.append(block)
            }
            blockStart = blockEnd
        }
        guard blockStart + tailCount == end else { return nil }
        tail = Summary(history, blockStart..<end)
        self.skipped = skipped
        restoreStacks(boundary: boundary)
        if skipped > 0 { makeMarks(history, blockStart: start - skipped, from: skipped) }
    }

    private mutating func restoreStacks(boundary restored: Int) {
        boundary = restored
        var later = Summary()
        for index in stride(from: boundary - 1, to: head, by: -1) {
            var summary = blocks[index].summary
            summary.merge(later)
            front.append(summary)
            later = summary
        }
        for block in blocks[boundary...] { back.merge(block.summary) }
        refreshMiddle()
    }
}
