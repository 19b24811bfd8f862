/// Why a piece of Lua ended before its time: where, what, and which limit it ran into.
public struct LuaFailure: Error, Sendable, Equatable {
    /// The chunk's name: a path, as `load` was given it. Empty when the failure has no place.
    public var file: String
    /// 0 when the failure has no place.
    public var line: Int
    public var message: String
    public var limit: LuaLimit?
    /// The script's own functions, innermost first, one a line: `file:line: in function 'name'`.
    public var traceback: String

    public init(file: String = "", line: Int = 0, message: String, limit: LuaLimit? = nil, traceback: String = "") {
        self.file = file
        self.line = line
        self.message = message
        self.limit = limit
        self.traceback = traceback
    }
}

extension LuaFailure: CustomStringConvertible {
    /// `file:line: message`.
    public var description: String { file.isEmpty ? message : "\(file):\(line): \(message)" }

    /// As compilers write it: the place, the line of the source with it, and the way there.
    public func text(source: String?) -> String {
        var text = file.isEmpty ? "error: \(message)\n" : "\(file):\(line): error: \(message)\n"
        if let source, line > 0 {
            let lines = source.split(separator: "\n", maxSplits: line, omittingEmptySubsequences: false)
            if line <= lines.count {
                let number = "\(line)"
                let margin = String(repeating: " ", count: number.count)
                text += "\(margin) |\n\(number) | \(lines[line - 1])\n\(margin) |\n"
            }
        }
        // One frame says no more than the place.
        let frames = traceback.split(separator: "\n")
        if frames.count > 1 { text += frames.map { "  \($0)\n" }.joined() }
        return text
    }
}
