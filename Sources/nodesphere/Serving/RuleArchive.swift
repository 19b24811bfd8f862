import CEL
import DurableFiles
import EmbeddedState
import Foundation
import RuleEngine
import RuleLanguage

/// The rules that a journal refers to, each set once, as `rules-<name>.json` in the journal's folder: a replay reads these, not the rule files, which show the present.
struct RuleArchive: Sendable {
    let folder: String
    /// What the rules use besides themselves: as they are now, and not as they were.
    let plugins: InstalledPlugins

    /// Keeps a set of rules, durably; its name. The same rules have the same name.
    func keep(_ rules: RuleSet) throws -> String {
        let text = Array(Self.document(rules).json.utf8)
        for attempt in 0... {
            let name = Self.name(text, attempt)
            let path = path(name)
            if let kept = FileManager.default.contents(atPath: path) {
                guard Array(kept) == text else { continue }
                markUsed(name)
                return name
            }
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try DurableFile.write(text, to: path)
            return name
        }
        return ""
    }

    /// Says that rules are in use now.
    func markUsed(_ name: String) { try? FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: path(name)) }

    /// The plan of rules that were kept; nil when they are not there any more, or this build does not take them.
    func plan(named name: String) -> EvaluationPlan? {
        guard let data = FileManager.default.contents(atPath: path(name)), let document = try? Document(json: data),
            let files = Self.sources(document["files"]), let groups = Self.sources(document["groups"]),
            let surroundings = Surroundings(document["surroundings"])
        else { return nil }
        return RuleReader.plan(files: files, storeGroups: groups, surroundings: surroundings, plugins: plugins).0
    }

    /// Removes sets that no record or checkpoint can refer to: not in use since an instant.
    func forget(unusedSince instant: Date, except names: Set<String>) {
        for file in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] {
            guard file.hasPrefix("rules-"), file.hasSuffix(".json"), !names.contains(String(file.dropFirst(6).dropLast(5))),
                let used = (try? FileManager.default.attributesOfItem(atPath: folder + "/" + file))?[.modificationDate] as? Date,
                used < instant
            else { continue }
            try? FileManager.default.removeItem(atPath: folder + "/" + file)
        }
    }

    private func path(_ name: String) -> String { folder + "/rules-\(name).json" }

    private static func document(_ rules: RuleSet) -> Document {
        func list(_ sources: [RuleLoader.Source]) -> Document {
            .array(sources.map { ["name": .string($0.name), "text": .string(String(decoding: $0.bytes, as: UTF8.self))] })
        }
        return [
            "files": list(rules.files), "groups": list(rules.storeGroups.sorted { $0.name < $1.name }),
            "surroundings": rules.surroundings.document,
        ]
    }

    private static func sources(_ document: Document?) -> [RuleLoader.Source]? {
        document?.array?.compactMap { source in
            guard let name = source["name"]?.string, let text = source["text"]?.string else { return nil }
            return RuleLoader.Source(name: name, bytes: Array(text.utf8))
        }
    }

    /// FNV-1a over the text; the attempt tells sets apart whose hashes are equal.
    private static func name(_ text: [UInt8], _ attempt: Int) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return String(hash, radix: 16) + (attempt == 0 ? "" : "-\(attempt)")
    }
}

extension Surroundings {
    fileprivate var document: Document {
        var members: [Document.Member] = [.init("timeZone", .string(timeZone.name))]
        if let location { members.append(.init("location", Self.document(location))) }
        let zones = zones.sorted { $0.key < $1.key }.map { name, zone in
            Document.Member(name, ["centre": Self.document(zone.centre), "radius": .double(zone.radius)])
        }
        members.append(.init("zones", .object(zones)))
        members.append(.init("recorded", recorded.document))
        members.append(.init("windowSamples", .int(Int64(windowSamples))))
        return .object(members)
    }

    private static func document(_ place: GeoPoint) -> Document {
        ["latitude": .double(place.latitude), "longitude": .double(place.longitude)]
    }

    fileprivate init?(_ document: Document?) {
        guard let document, let zone = document["timeZone"]?.string.flatMap({ NamedZone($0) }) else { return nil }
        self.init(timeZone: zone, location: GeoPoint(document["location"]))
        for member in document["zones"]?.members ?? [] {
            guard let centre = GeoPoint(member.value["centre"]), let radius = member.value["radius"]?.number else { return nil }
            zones[member.name] = Zone(centre: centre, radius: radius)
        }
        guard let recorded = RecordedHistory(document["recorded"]) else { return nil }
        self.recorded = recorded
        // Rules that were kept before this could be configured have none.
        if let samples = document["windowSamples"]?.int { windowSamples = Int(samples) }
    }
}

extension RecordedHistory {
    fileprivate var document: Document {
        let measurements = measurements.map { one in
            var members: [Document.Member] = [.init("name", .string(one.name)), .init("topic", .string(one.topic.text))]
            if let retention = one.retention { members.append(.init("retention", .string(retention))) }
            if let path = one.timeField { members.append(.init("timeField", .array(path.map { .string($0) }))) }
            if let fields = one.fields { members.append(.init("fields", .array(fields.sorted().map { .string($0) }))) }
            return Document.object(members)
        }
        return ["ownReach": ownReach.map { .int($0.inNanoseconds) } ?? .null, "measurements": .array(measurements)]
    }

    /// Rules that were kept before there was such a thing had all windows from the engine's own samples.
    fileprivate init?(_ document: Document?) {
        self = .none
        guard let document else { return }
        if case .int(let reach)? = document["ownReach"] { ownReach = .nanoseconds(reach) }
        for one in document["measurements"]?.array ?? [] {
            guard let name = one["name"]?.string, let topic = one["topic"]?.string.flatMap({ try? TopicFilter($0) }) else { return nil }
            measurements.append(
                Measurement(
                    name, topic: topic, retention: one["retention"]?.string, timeField: one["timeField"]?.array?.compactMap(\.string),
                    fields: one["fields"]?.array.map { Set($0.compactMap(\.string)) }))
        }
    }
}
