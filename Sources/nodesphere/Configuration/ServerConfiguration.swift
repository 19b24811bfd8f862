import Foundation
import InfluxWindows
import OutgoingHTTP
import RuleEngine
import RuleLanguage

/// The effective configuration: defaults, under `nodesphere.yaml`, under `NODESPHERE_*`, under flags.
struct ServerConfiguration: Sendable {
    enum Origin: Sendable, Equatable {
        case builtIn
        case file(SourceLocation)
        case environment(String)
        case flag(String)

        var description: String {
            switch self {
            case .builtIn: "default"
            case .file(let place): "\(place.file):\(place.line)"
            case .environment(let name): "environment \(name)"
            case .flag(let name): "flag \(name)"
            }
        }
    }
    struct Entry: Sendable {
        var value: String
        var origin: Origin
    }

    private(set) var entries: [String: Entry] = [:]
    /// What is odd but does no harm.
    private(set) var warnings: [String] = []
    /// `time_zone`, `location` and `zones`.
    var surroundings = Surroundings()
    /// `recorder`; nil when it is not enabled.
    var recorder: RecorderSettings?
    let file: String?

    /// Why there is no configuration.
    struct Failure: Error {
        var diagnostics: [Diagnostic] = []
        var messages: [String] = []
        var lines: [RuleLoader.Source] = []

        /// As people read it.
        var text: String {
            let renderer = DiagnosticRenderer(sources: lines)
            return diagnostics.map(renderer.render).joined() + messages.map { "error: \($0)\n" }.joined()
        }
    }

    /// - Parameters:
    ///   - file: as given by `--config`; nil: `nodesphere.yaml` in the working directory when it is there.
    ///   - flags: values of command line flags by key.
    init(file given: String?, environment: [String: String], flags: [(key: String, flag: String, value: String?)] = []) throws(Failure) {
        var failure = Failure()
        for key in ConfigurationKey.all { entries[key.name] = key.defaultValue.map { Entry(value: $0, origin: .builtIn) } }
        file = given ?? (FileManager.default.fileExists(atPath: "nodesphere.yaml") ? "nodesphere.yaml" : nil)
        if let file { readFile(file, &failure) }
        readEnvironment(environment, &failure)
        for flag in flags {
            if let value = flag.value { entries[flag.key] = Entry(value: value, origin: .flag(flag.flag)) }
        }
        for key in ConfigurationKey.all + familyKeys { check(key, &failure) }
        warnAboutNotifications()
        readSurroundings(&failure)
        readRecorder(&failure)
        surroundings.recorded = recordedHistory
        if failure.messages.isEmpty { checkScripts(&failure) }
        guard failure.diagnostics.isEmpty, failure.messages.isEmpty else { throw failure }
    }

    private mutating func readFile(_ file: String, _ failure: inout Failure) {
        guard let bytes = FileManager.default.contents(atPath: file) else {
            failure.messages.append("the configuration file '\(file)' cannot be read")
            return
        }
        failure.lines.append(RuleLoader.Source(name: file, bytes: Array(bytes)))
        let lists = ConfigurationKey.all.filter { if case .hosts = $0.kind { true } else { false } }.map(\.name)
        let (settings, diagnostics) = SettingsFile.read(
            name: file, bytes: Array(bytes), lists: Set(lists), except: ["plugins.grants", "plugins.settings"])
        failure.diagnostics += diagnostics.filter { $0.severity == .error }
        let names = ConfigurationKey.all.flatMap { $0.isSecret ? [$0.name, $0.name + "_file"] : [$0.name] }
        for setting in settings.settings {
            guard names.contains(setting.path) || ConfigurationFamily.key(setting.path) != nil else {
                failure.diagnostics.append(
                    Diagnostic(
                        code: "unknown-key", "unknown setting '\(setting.path)'", at: setting.location,
                        hint: nearestName(to: setting.path, in: names).map { "did you mean '\($0)'?" }))
                continue
            }
            set(setting.path, setting.value, .file(setting.location), &failure)
        }
    }

    private mutating func readEnvironment(_ environment: [String: String], _ failure: inout Failure) {
        let keys = Dictionary(uniqueKeysWithValues: ConfigurationKey.all.map { ($0.environmentVariable, $0) })
        for (name, value) in environment.sorted(by: { $0.key < $1.key })
        where name.hasPrefix("NODESPHERE_") && !name.hasPrefix("NODESPHERE_TEST_") {
            if let key = keys[name] {
                set(key.name, value, .environment(name), &failure)
            } else if name.hasSuffix("_FILE"), let key = keys[String(name.dropLast(5))], key.isSecret {
                set(key.name + "_file", value, .environment(name), &failure)
            } else if let path = ConfigurationFamily.path(ofEnvironmentVariable: name, known: entries.keys.sorted()) {
                set(path, value, .environment(name), &failure)
            } else {
                warnings.append("the environment variable \(name) is no setting and is not used")
            }
        }
    }

    /// Sets a value, or the content of the file that `…_file` names.
    private mutating func set(_ path: String, _ value: String, _ origin: Origin, _ failure: inout Failure) {
        if let key = ConfigurationKey.all.first(where: { $0.isSecret && $0.name + "_file" == path }) {
            guard let content = FileManager.default.contents(atPath: value) else {
                failure.messages.append("'\(path)': the file '\(value)' cannot be read")
                return
            }
            let text = String(decoding: content, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
            entries[key.name] = Entry(value: text, origin: origin)
            return
        }
        if value.isEmpty {
            entries[path] = nil
        } else {
            entries[path] = Entry(value: value, origin: origin)
        }
    }

    private mutating func check(_ key: ConfigurationKey, _ failure: inout Failure) {
        guard let entry = entries[key.name] else { return }
        if key.isLater, entry.origin != .builtIn {
            warnings.append("'\(key.name)' (\(entry.origin.description)) is not used by this version")
        }
        let rule: String?
        switch key.kind {
        case .text: rule = nil
        case .bool: rule = ["true", "false"].contains(entry.value) ? nil : "must be true or false"
        case .duration: rule = Duration(ruleText: entry.value) == nil ? "must be a duration, such as 5m" : nil
        case .integer: rule = Int(entry.value).map { $0 > 0 } ?? false ? nil : "must be a whole number above 0"
        case .size: rule = ByteSize(entry.value) == nil ? "must be a size, such as 2GiB" : nil
        case .number(let range):
            let number = Double(entry.value)
            rule = number.map(range.contains) ?? false ? nil : "must be a number from \(Int(range.lowerBound)) to \(Int(range.upperBound))"
        case .choice(let words): rule = words.contains(entry.value) ? nil : "must be \(words.joined(separator: " or "))"
        case .file: rule = FileManager.default.isReadableFile(atPath: entry.value) ? nil : "must be a file that can be read"
        case .webAddress:
            rule =
                entry.value.isEmpty || RequestURL(entry.value) != nil ? nil : "must begin with http:// or https:// and name a host"
        case .hosts:
            rule =
                Self.list(entry.value).allSatisfy { HostPattern($0) != nil }
                ? nil : "must be hosts such as api.example.org, *.example.org or localhost:8080"
        }
        if let rule { failure.messages.append("'\(key.name)' \(rule), not '\(entry.value)' (\(entry.origin.description))") }
    }

    /// Without the file everything goes to the log, which nobody wants who names one.
    private mutating func warnAboutNotifications() {
        guard let entry = entries["notifications.file"], entry.origin != .builtIn,
            !FileManager.default.fileExists(atPath: entry.value)
        else { return }
        warnings.append(
            "'notifications.file' (\(entry.origin.description)): '\(entry.value)' is not there, so all notifications go to the log")
    }

    static func list(_ text: String) -> [String] {
        text.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }

    /// Those of names that are given, by path.
    var familyKeys: [ConfigurationKey] { entries.keys.sorted().compactMap(ConfigurationFamily.key) }

    /// The names of a family, sorted.
    func names(in section: String) -> [String] {
        guard let family = ConfigurationFamily.all.first(where: { $0.section == section }) else { return [] }
        return Set(entries.keys.compactMap { ConfigurationFamily.name($0, in: family) }).sorted()
    }

    subscript(name: String) -> String? { entries[name]?.value }
    func text(_ name: String) -> String { entries[name]?.value ?? "" }
    func list(_ name: String) -> [String] { Self.list(text(name)) }
    func bool(_ name: String) -> Bool { entries[name]?.value == "true" }
    func duration(_ name: String) -> Duration { entries[name].flatMap { Duration(ruleText: $0.value) } ?? .zero }
    /// Bytes.
    func size(_ name: String) -> Int64 { entries[name].flatMap { ByteSize($0.value)?.bytes } ?? 0 }
    func integer(_ name: String) -> Int { entries[name].flatMap { Int($0.value) } ?? 0 }
}
