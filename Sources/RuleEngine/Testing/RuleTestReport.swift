/// What became of several files of tests, for people, programs and build servers.
public struct RuleTestReport: Sendable {
    public struct File: Sendable {
        public var name: String
        public var results: [RuleTestResult]
        /// Why none of its tests could run: diagnostics as text.
        public var obstacle: String?

        public init(name: String, results: [RuleTestResult] = [], obstacle: String? = nil) {
            self.name = name
            self.results = results
            self.obstacle = obstacle
        }
    }

    /// A file that could not run stands as one failed test of this name.
    static let obstacleName = "the file can be used"

    public var files: [File]
    public var coverage: RuleCoverage?

    public init(files: [File], coverage: RuleCoverage? = nil) {
        self.files = files
        self.coverage = coverage
    }

    public var passed: Int { files.reduce(0) { $0 + $1.results.count { $0.passed } } }
    public var failed: Int { files.reduce(0) { $0 + $1.results.count { !$0.passed } + ($1.obstacle == nil ? 0 : 1) } }
    public var readings: Int { files.reduce(0) { $0 + $1.results.reduce(0) { $0 + $1.readings } } }

    // MARK: For people

    public var text: String {
        var text = ""
        for file in files {
            text += "\(file.name)\n"
            if file.obstacle != nil { text += "  FAIL  \(Self.obstacleName)\n" }
            for result in file.results {
                text += "  \(result.passed ? "pass" : "FAIL")  \(result.name)\n"
                for failure in result.failures { text += Self.indented(Self.message(of: failure)) }
            }
        }
        if let coverage { text += Self.text(of: coverage) }
        return text + "\(passed) passed, \(failed) failed\n"
    }

    private static func message(of failure: RuleTestResult.Failure) -> String {
        "\(failure.location.file):\(failure.location.line):\(failure.location.column):\n\(failure.message)"
    }

    private static func indented(_ text: String) -> String {
        text.split(separator: "\n").map { "        \($0)\n" }.joined()
    }

    private static func text(of coverage: RuleCoverage) -> String {
        let entries = coverage.entries
        var text =
            "coverage: \(coverage.reached) of \(coverage.total) branches of \(entries.count) \(entries.count == 1 ? "rule" : "rules")\n"
        let width = entries.map { "\($0.rule)".unicodeScalars.count }.max() ?? 0
        for entry in entries {
            let name = "\(entry.rule)"
            let padding = String(repeating: " ", count: width - name.unicodeScalars.count)
            text += "  \(name)\(padding)  \(entry.reached.count) of \(entry.reached.count + entry.missed.count)"
            text += entry.missed.isEmpty ? "\n" : "  not reached: \(entry.missed.joined(separator: ", "))\n"
        }
        return text
    }

    // MARK: For programs

    public var document: Document {
        var tests: [Document] = []
        for file in files {
            if let obstacle = file.obstacle { tests.append(Self.document(file.name, Self.obstacleName, obstacle)) }
            for result in file.results {
                tests.append(
                    Self.document(file.name, result.name, result.passed ? nil : result.failures.map(Self.message).joined(separator: "\n")))
            }
        }
        var members: [Document.Member] = [
            .init("passed", .int(Int64(passed))), .init("failed", .int(Int64(failed))), .init("tests", .array(tests)),
        ]
        if let coverage {
            let rules = coverage.entries.map { entry -> Document in
                [
                    "group": .string(entry.rule.group), "name": .string(entry.rule.alert),
                    "reached": .array(entry.reached.map(Document.string)),
                    "missed": .array(entry.missed.map(Document.string)),
                ]
            }
            members.append(
                .init(
                    "coverage", ["branches": .int(Int64(coverage.total)), "reached": .int(Int64(coverage.reached)), "rules": .array(rules)])
            )
        }
        return .object(members)
    }

    private static func document(_ file: String, _ name: String, _ message: String?) -> Document {
        ["file": .string(file), "name": .string(name), "passed": .bool(message == nil), "message": Document(message)]
    }

    /// The form that build servers read: a suite a file.
    public var junit: String {
        var text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"\(passed + failed)\" failures=\"\(failed)\">\n"
        for file in files {
            let cases =
                (file.obstacle.map { [(Self.obstacleName, Optional($0))] } ?? [])
                + file.results.map { result in
                    (result.name, result.passed ? nil : result.failures.map(Self.message).joined(separator: "\n"))
                }
            text +=
                "  <testsuite name=\"\(Self.escaped(file.name))\" tests=\"\(cases.count)\" failures=\"\(cases.count { $0.1 != nil })\">\n"
            for (name, message) in cases {
                let head = "    <testcase classname=\"\(Self.escaped(file.name))\" name=\"\(Self.escaped(name))\""
                guard let message else {
                    text += head + "/>\n"
                    continue
                }
                let first =
                    message.split(separator: "\n").first { $0.hasPrefix("expected") || $0.hasPrefix("not expected") } ?? message.split(
                        separator: "\n"
                    ).first ?? ""
                text +=
                    head
                    + ">\n      <failure message=\"\(Self.escaped(String(first)))\">\(Self.escaped(message))</failure>\n    </testcase>\n"
            }
            text += "  </testsuite>\n"
        }
        return text + "</testsuites>\n"
    }

    /// XML 1.0 §2.2: most control characters cannot be in a document at all.
    private static func escaped(_ text: String) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "\n", "\t": escaped.unicodeScalars.append(scalar)
            case _ where scalar.value < 0x20 || scalar.value == 0xFFFE || scalar.value == 0xFFFF: escaped += "\u{FFFD}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }
}
