-- https://www.zigbee2mqtt.io/guide/usage/mqtt_topics_and_messages.html
--
-- A state keeps its members as they are; `last_seen` is the reading's time. `availability` becomes the field `available`, the bridge's
-- own state the field `online`. What goes to the devices (set, get, requests to the bridge) is no reading.

local base = config.base_topic .. "/"

local function last_seen(value)
  return timestamp.parse(value) or timestamp.of_number(value)
end

-- '{"state":"online"}', or 'online' of older versions.
local function state(value)
  if type(value) == "table" then value = value.state end
  return value
end

local function bridge(rest, bytes)
  if rest == "state" then
    local said = state(payload.value(bytes))
    return { online = said == "online", state = said }
  end
  if string.find(rest, "^request/") then return nil end
  local value = payload.value(bytes)
  if type(value) ~= "table" or value[1] ~= nil then return { value = value } end
  return value
end

local function decode(topic, bytes)
  local rest = topic
  if string.sub(topic, 1, #base) == base then rest = string.sub(topic, #base + 1) end
  if string.sub(rest, 1, 7) == "bridge/" then return bridge(string.sub(rest, 8), bytes) end
  local first = string.byte(bytes, 1)
  if first == 123 and string.find(rest, "/", 1, true) == nil then
    -- The usual case: the state of a device whose name is one level.
    local fields = payload.object(bytes)
    return fields, fields.last_seen and last_seen(fields.last_seen)
  end
  local levels = topics.levels(rest)
  local last = levels[#levels]
  if last == "availability" and #levels > 1 then
    return { available = state(payload.value(bytes)) == "online" }
  end
  for index = 2, #levels do
    if levels[index] == "set" or levels[index] == "get" then return nil end
  end
  local value = payload.value(bytes)
  if type(value) == "table" and value[1] == nil then return value, last_seen(value.last_seen) end
  -- With `output: attribute` each attribute has a topic.
  return { [names.identifier(last)] = value }
end

plugin { decoders = { zigbee2mqtt = decode } }
