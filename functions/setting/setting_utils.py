"""The door of the settings: everything a script needs under one name.

    import functions.setting.setting_utils as su
    setting = su.initialize_setting(current_experiment='MyExperiment', where_to_run='Auto')

Importing it loads neither TensorFlow nor SimpleITK.
"""
# ruff: noqa: F401 - names are imported to be found here

from .addresses import address_generator, address_requests
from .checks import check_setting, find_problems
from .data_sets import data_set_names, register_data_set, register_own_images
from .experiment_files import address_of_folder, read_setting, write_setting
from .image_lists import (
    dsmoothlist_by_deform_exp,
    get_im_info_list_from_train_mode,
    get_random_im_info_list,
    repeat_dsmooth_numbers,
)
from .loaders import (
    initialize_setting,
    load_data_setting,
    load_network_setting,
    load_registration_setting,
    load_setting_from_data_dict,
    load_suggested_class_balanced,
    root_address_generator,
)
from .original_files import missing_originals, require_originals
from .stage_suggestions import suggested_stage_setting
from .trained_models import (
    get_global_step,
    is_symmetric,
    load_network,
    network_set,
    register_only,
    saved_steps,
    trains,
    use_networks,
)
