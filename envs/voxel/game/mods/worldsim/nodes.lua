-- The kinds of block. Their 16 x 16 pictures are drawn by envs/voxel/textures.py.
-- Returns name -> content id, and content id -> what it looks like: air, cube, or a plant's name.
local cubes = {
	stone = {"stone"},
	moss = {"moss"},
	dirt = {"dirt"},
	grass = {"grass_top", "dirt", "grass_side"},
	path = {"path"},
	oak = {"oak_top", "oak_top", "oak"},
	birch = {"oak_top", "oak_top", "birch"},
	oak_leaves = {"oak_leaves"},
	birch_leaves = {"birch_leaves"},
	pine_leaves = {"pine_leaves"},
	pumpkin = {"pumpkin_top", "pumpkin_top", "pumpkin"},
}
local plants = {"tall_grass", "fern", "red_flower", "yellow_flower", "blue_flower", "mushroom"}
local ids, looks = {air = core.CONTENT_AIR}, {[core.CONTENT_AIR] = "air"}

local function pictures(names)
	local files = {}
	for index, name in ipairs(names) do
		files[index] = "worldsim_" .. name .. ".png"
	end
	return files
end

local function register(name, look, definition)
	definition.description = name
	core.register_node("worldsim:" .. name, definition)
	ids[name] = core.get_content_id("worldsim:" .. name)
	looks[ids[name]] = look
end

for name, sides in pairs(cubes) do
	register(name, "cube", {tiles = pictures(sides)})
end
for _, name in ipairs(plants) do
	register(name, name, {
		drawtype = "plantlike",
		tiles = pictures({name}),
		paramtype = "light",
		sunlight_propagates = true,
		walkable = false,
	})
end
for _, name in ipairs({"mapgen_stone", "mapgen_water_source", "mapgen_river_water_source"}) do
	core.register_alias(name, "worldsim:stone")
end
return ids, looks
